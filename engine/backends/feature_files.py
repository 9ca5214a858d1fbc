"""Files of features: what a model makes of a clip is kept, so that a clip is heard once.

Knows the clip's bytes, the keys that follow from them, and one safetensors file a key. A file appears whole, so that
runs may share it and one that was killed is gone on from. What a key takes and what a file holds is its backend's
business.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.types import BadInput


def key(*told: str) -> str:
    """One hash of all that features follow from: a version, the audio's bytes, the base weights, perhaps a text."""
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def clip_sha256(path: Path, row: str) -> str:
    """Checksum of a clip's bytes. Raises BadInput naming the row when the file is not there."""
    if not path.is_file():
        raise BadInput(f"{path} of row {row} is missing; put it back or take the row out of the manifest.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(folder: Path, key: str, needed: Collection[str]) -> dict[str, Tensor] | None:
    """The tensors of a key; None where there is no file, a damaged one, or one without a tensor that is `needed`."""
    try:
        stored = load_file(str(_path(folder, key)))
    except (FileNotFoundError, SafetensorError):
        return None
    return stored if stored.keys() >= set(needed) else None


def write(folder: Path, key: str, tensors: Mapping[str, Tensor]) -> None:
    """Keep the tensors of a key. Of several processes that make a file, the last one's stays."""
    folder.mkdir(parents=True, exist_ok=True)
    path = _path(folder, key)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    # copied: a view would be refused, or written with all that it is a view of
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, str(unfinished))
    unfinished.replace(path)


def _path(folder: Path, key: str) -> Path:
    return folder / f"{key}.safetensors"
