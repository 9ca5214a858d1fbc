"""Upstream's checkout, which people bring: where it is, which commit, and how its classes are imported.

CosyVoice is a repository and no package: its weights' yaml names `cosyvoice` and `matcha` at the top. What is on the
index under that name is somebody else's, from 2024, and lacks most of its modules. Knows no model.
"""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, metadata
from pathlib import Path

from engine.types import BadInput, NotFound, Refused

VARIABLE = "EARMARK_COSYVOICE_CHECKOUT"
CLONE = "git clone --recursive https://github.com/FunAudioLLM/CosyVoice"
MATCHA = Path("third_party") / "Matcha-TTS"
INSTALL = "python -m engine voices install cosyvoice3"
# What a checkout imports beyond Earmark's own requirements, and what hears.
NEEDED = ("yaml", "diffusers", "einops", "omegaconf", "x_transformers", "onnxruntime")
# Imported by upstream's files at their top, and used by nothing that runs here. `matcha.utils` would import a
# configuration framework, a training framework and download tools, `whisper` a compiler.
_UNUSED: Mapping[str, tuple[str, ...]] = {
    "conformer": ("ConformerBlock",),
    "tiktoken": ("Encoding", "get_encoding"),
    "whisper": (),
    "whisper.tokenizer": ("Tokenizer",),
}
# Of these one module is used: it is found in the package's folder, and the package itself is not imported.
_PASSED_BY = ("whisper",)


def path(environment: Mapping[str, str]) -> Path:
    """The checkout that the environment names. Raises NotFound with the mend, Refused beside the index's package."""
    named = environment.get(VARIABLE, "")
    if not named:
        raise NotFound(f"CosyVoice is not a package: run `{CLONE}` and set {VARIABLE} to that folder.")
    found = Path(named).expanduser()
    if not (found / "cosyvoice" / "llm" / "llm.py").is_file():
        raise NotFound(f"{found} ({VARIABLE}) is no checkout of CosyVoice; run `{CLONE}` and name that folder.")
    if not (found / MATCHA / "matcha").is_dir():
        raise NotFound(
            f"{found / MATCHA} is empty: CosyVoice's flow is built on it; in the checkout run "
            "`git submodule update --init --recursive`."
        )
    _must_not_be_shadowed()
    return found


def commit(checkout: Path) -> str:
    """The checkout's commit, "" where it is no git checkout."""
    told = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return told.stdout.strip() if told.returncode == 0 else ""


@contextmanager
def importable(checkout: Path) -> Iterator[None]:
    """Within the block its modules can be imported; what has been imported stays.

    Upstream's modules set the root logger to DEBUG and seed every generator; both are as before afterwards. Raises
    Refused where another `cosyvoice` has been imported, NotFound for a library that it needs.
    """
    import numpy as np
    import torch

    known = sys.modules.get("cosyvoice")
    if known is not None and checkout.resolve() not in Path(next(iter(known.__path__))).resolve().parents:
        raise Refused(f"Another checkout of CosyVoice is in use; restart Earmark to use {checkout}.")
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    state, numbers = random.getstate(), np.random.get_state()
    added = [str(checkout), str(checkout / MATCHA)]
    sys.path[:0] = added
    stood_in = _stand_ins(checkout)
    logging.disable(logging.INFO)
    try:
        with torch.random.fork_rng():
            yield
    except ModuleNotFoundError as error:
        raise NotFound(f"CosyVoice needs {error.name}: run `{INSTALL}`.") from error
    finally:
        logging.disable(logging.NOTSET)
        for name in stood_in:
            sys.modules.pop(name, None)
        for entry in added:
            sys.path.remove(entry)
        root.setLevel(level)
        root.handlers[:] = handlers
        random.setstate(state)
        np.random.set_state(numbers)


def _stand_ins(checkout: Path) -> list[str]:
    """Empty modules for what is imported and never used, where it is not installed; their names."""
    made = []
    if "matcha.utils" not in sys.modules:
        matcha = import_module("matcha")
        utils = types.ModuleType("matcha.utils")
        utils.__path__ = [str(checkout / MATCHA / "matcha" / "utils")]
        logger = types.ModuleType("matcha.utils.pylogger")
        logger.get_pylogger = logging.getLogger  # type: ignore[attr-defined]
        sys.modules |= {utils.__name__: utils, logger.__name__: logger}
        matcha.utils = utils  # type: ignore[attr-defined]
    for name, attributes in _UNUSED.items():
        if name in sys.modules or (_is_installed(name) and name not in _PASSED_BY):
            continue
        module = types.ModuleType(name)
        module.__path__ = _places(name) if name in _PASSED_BY else []
        for attribute in attributes:
            setattr(module, attribute, type(attribute, (), {}))
        sys.modules[name] = module
        made.append(name)
    return made


def _places(name: str) -> list[str]:
    """The folders of a package that is installed, which is not imported; none where it is not."""
    from importlib.util import find_spec

    found = find_spec(name)
    return list(found.submodule_search_locations or ()) if found else []


def _is_installed(name: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def must_be_usable() -> None:
    """Raises NotFound for a package that this interpreter lacks, Refused beside the index's `cosyvoice`."""
    _must_not_be_shadowed()
    if lacking := [name for name in NEEDED if not _is_installed(name)]:
        raise NotFound(f"CosyVoice needs {', '.join(lacking)}: run `{INSTALL}`.")


def _must_not_be_shadowed() -> None:
    try:
        version = metadata.version("cosyvoice")
    except metadata.PackageNotFoundError:
        return
    raise Refused(
        f"The package cosyvoice {version} is installed: it is not upstream's, lacks most of its modules and hides the "
        "checkout. Run `pip uninstall cosyvoice`."
    )


def from_environment() -> Path:
    """The checkout that this process's environment names."""
    return path(os.environ)


def must_be_whole(folder: Path, names: tuple[str, ...]) -> None:
    """Raises NotFound naming the first file of a model that is missing."""
    for name in names:
        if not (folder / name).exists():
            raise NotFound(f"{folder / name} is missing; download the model again, with all of its files.")


def damaged(path: Path, error: Exception) -> BadInput:
    """The error for a file that cannot be read."""
    return BadInput(f"{path} is damaged ({error}); download the model again.")
