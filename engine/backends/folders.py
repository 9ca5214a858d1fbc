"""Folders of weights that people bring: which one a backend uses, and one hash of what is in it.

Knows the environment variables that name them, as a folder or as a model of the hub, and the layout of a safetensors
file. Knows no model.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.backends import hub
from engine.types import BadInput, NotFound

BLOCK = 4096  # bytes that are looked at in a tensor's beginning, middle and end
WHOLE = 1 << 20  # smaller files are hashed whole


def of(name: str, variable: str, base_model: str, environment: Mapping[str, str]) -> Path:
    """The folder of a backend's weights: `base_model` if it is given, else what the environment variable says; either
    is a folder or a model's name on the hub, which then lies in this machine's cache.

    Raises NotFound where neither says anything, there is no such folder, or the model is not in the cache.
    """
    named = base_model or environment.get(variable, "")
    if not named:
        raise NotFound(
            f"{name} needs its weights, and none are named: set {variable} to the folder with the model's config.json "
            "and weights, or to its name on the hub (owner/name), or give either as the run's base weights."
        )
    folder = Path(named).expanduser()
    if folder.is_dir():
        return folder
    if hub.is_name(named):
        return hub.cached(named).path
    source = "The run" if base_model else variable
    raise NotFound(f"{source} names {folder} for {name}'s weights, and there is no such folder; correct the path.")


def pinned(variable: str, base_model: str, environment: Mapping[str, str]) -> str:
    """What to write down of a run's base weights so that it means the same tomorrow: for a model of the hub its name
    with the commit, and else `base_model` as it is. Raises NotFound for a model that is not in the cache.
    """
    named = base_model or environment.get(variable, "")
    if Path(named).expanduser().is_dir() or not hub.is_name(named):
        return base_model
    return hub.cached(named).pinned


def config(folder: Path) -> dict[str, Any]:
    """`config.json` of a folder. Raises NotFound without one, BadInput when it is damaged."""
    path = folder / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"{path} is missing: name the folder that the model's files were downloaded into.") from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read ({error}); download the model again.") from error
    if not isinstance(found, dict):
        raise BadInput(f"{path} does not hold a JSON object; download the model again.")
    return found


def companion(folder: Path) -> str:
    """The audio tokenizer that a folder's processor names and that is no part of it: a path, or a model of the hub;
    empty where it names none. Raises BadInput for a config that is damaged.
    """
    path = folder / "processor_config.json"
    try:
        told = json.loads(path.read_text(encoding="utf-8")).get("audio_tokenizer") or {}
        return str(told.get("audio_tokenizer_name_or_path") or "")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError) as error:
        raise BadInput(f"{path} cannot be read ({error}); download the model again.") from error


def sha256(files: Sequence[Path]) -> str:
    """One hash of these files' names and contents: the identity of a base model.

    Of a large safetensors file it reads the header and three blocks of every tensor, so that a model of many gigabytes
    is known in a moment: another training, a merged adapter or another precision changes them; a single flipped bit
    elsewhere goes unseen. All other files count whole. Raises NotFound for a file that is missing, BadInput for one
    that is damaged.
    """
    digest = hashlib.sha256()
    for path in files:
        try:
            told = path.stat()
        except OSError as error:
            raise NotFound(f"{path} is missing; download the model again, with all of its files.") from error
        digest.update(f"{path.name}\0{_content(path, told.st_size, told.st_mtime_ns, told.st_ino)}\0".encode())
    return digest.hexdigest()


@functools.lru_cache(maxsize=256)
def _content(path: Path, size: int, changed_ns: int, inode: int) -> str:
    """The hash of one file, remembered as long as it is the same file, of one size and time of change: another one may
    take its place within a tick of the file system's clock.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if path.suffix != ".safetensors" or size <= WHOLE:
            return hashlib.file_digest(file, "sha256").hexdigest()
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, size))
        digest.update(header)
        for start, end in _tensors(path, header, size):
            for place in sorted({start, max(start, (start + end - BLOCK) // 2), max(start, end - BLOCK)}):
                file.seek(8 + length + place)
                digest.update(file.read(min(BLOCK, end - place)))
    return digest.hexdigest()


def _tensors(path: Path, header: bytes, size: int) -> Iterator[tuple[int, int]]:
    try:
        told = json.loads(header)
        places = [tuple(one["data_offsets"]) for name, one in sorted(told.items()) if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is no whole safetensors file ({error!r}); download it again.") from error
    if places and 8 + len(header) + max(end for _, end in places) != size:
        raise BadInput(f"{path} is cut short or has more than its header says; download it again.")
    yield from places
