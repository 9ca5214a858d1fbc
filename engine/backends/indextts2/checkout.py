"""Upstream's checkout, which people bring: where it is, which commit, and how its classes are imported.

IndexTTS is a repository whose requirements pin a web server, a training framework and much else; its inference imports
few of them. Knows no model.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.types import BadInput, NotFound, Refused

VARIABLE = "EARMARK_INDEXTTS2_CHECKOUT"
REPOSITORY = "https://github.com/index-tts/index-tts"
# The last commit of IndexTTS 2 alone; later ones add 2.5 beside it and keep its classes.
PINNED = "90ca4d608209584bad3a5bd5becc0b80c146e60f"
CLONE = f"git clone {REPOSITORY} && git -C index-tts checkout {PINNED[:12]}"
LICENCE = "the bilibili Model Use License Agreement (for commercial use, contact its makers)"
INSTALL = "run: python -m engine voices install indextts2"
GPT_FILE = Path("indextts") / "gpt" / "model_v2.py"
# Imported by upstream's files at their top, and used by nothing that runs here.
_UNUSED: Mapping[str, tuple[str, ...]] = {
    "matplotlib": ("use", "pylab"),
    "matplotlib.pylab": (),
    "tiktoken": ("Encoding",),
    "whisper": (),
    "whisper.tokenizer": ("Tokenizer",),
}
# Packages whose own first file imports an audio framework of which nothing runs here.
_UNRUN = ("indextts.s2mel.dac", "indextts.s2mel.dac.nn")


def path(environment: Mapping[str, str]) -> Path:
    """The checkout that the environment names. Raises NotFound with the mend, Refused for one that is too old."""
    named = environment.get(VARIABLE, "")
    if not named:
        raise NotFound(
            f"IndexTTS2 is not a package: run `{CLONE}` and set {VARIABLE} to that folder. It comes under {LICENCE}."
        )
    found = Path(named).expanduser()
    if not (found / GPT_FILE).is_file():
        raise NotFound(f"{found} ({VARIABLE}) is no checkout of IndexTTS2; run `{CLONE}` and name that folder.")
    _must_not_be_older(found)
    return found


def commit(checkout: Path) -> str:
    """The checkout's commit, "" where it is no git checkout."""
    if not (checkout / ".git").exists():
        return ""
    told = _git(checkout, "rev-parse", "HEAD")
    return told.stdout.strip() if told.returncode == 0 else ""


def _must_not_be_older(checkout: Path) -> None:
    """A shallow clone does not know the pinned commit and is not asked: what is loaded is checked in any case."""
    if (checkout / ".git").exists() and _git(checkout, "merge-base", "--is-ancestor", PINNED, "HEAD").returncode == 1:
        raise Refused(
            f"{checkout} is at {commit(checkout)[:12]}, which is older than {PINNED[:12]}, the commit that is known "
            f"here: in it run `git fetch && git checkout {PINNED[:12]}`."
        )


def _git(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(checkout), *words], capture_output=True, text=True, check=False)


@contextmanager
def importable(checkout: Path) -> Iterator[None]:
    """Within the block its modules can be imported; what has been imported stays.

    Raises Refused where another `indextts` has been imported, NotFound for a library that it needs.
    """
    known = sys.modules.get("indextts")
    if known is not None and checkout.resolve() not in Path(next(iter(known.__path__))).resolve().parents:
        raise Refused(f"Another checkout of IndexTTS2 is in use; restart Earmark to use {checkout}.")
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    sys.path.insert(0, str(checkout))
    stood_in: list[str] = []
    try:
        import_module("transformers")  # it looks for what is stood in for: before there is a stand-in
        stood_in = _stand_ins(checkout)
        yield
    except ImportError as error:
        raise NotFound(f"IndexTTS2's classes cannot be imported ({error}); {INSTALL}") from error
    finally:
        for name in stood_in:
            sys.modules.pop(name, None)
        sys.path.remove(str(checkout))
        root.setLevel(level)
        root.handlers[:] = handlers


def named(module: str, name: str) -> Any:
    """A class or function of upstream's, within `importable`."""
    return getattr(import_module(module), name)


def _stand_ins(checkout: Path) -> list[str]:
    """Empty modules for what is imported and never used, where it is not installed; the names of those to forget."""
    for name in _UNRUN:
        if name not in sys.modules:
            module = types.ModuleType(name)
            module.__path__ = [str(checkout.joinpath(*name.split(".")))]
            sys.modules[name] = module
    made = []
    for name, attributes in _UNUSED.items():
        if name in sys.modules or _is_installed(name):
            continue
        module = types.ModuleType(name)
        module.__path__ = []
        module.__spec__ = ModuleSpec(name, loader=None)
        for attribute in attributes:
            setattr(module, attribute, type(attribute, (), {"__init__": lambda *_: None}))
        sys.modules[name] = module
        made.append(name)
    return made


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def damaged(path: Path, error: Exception) -> BadInput:
    """The error for a file that cannot be read."""
    return BadInput(f"{path} is damaged ({error}); download the model again.")
