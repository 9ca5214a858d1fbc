"""Training examples of one model, with what its tokenizer and codec make of each clip kept on disk.

Knows the cache: one safetensors file an utterance, keyed by the bytes of its audio (and of its prompt's), its text and
the base weights. Files appear whole, so that runs may share them. What is in them is the model's business.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.types import BadInput, Utterance

CACHE_VERSION = "1"  # changes when the same audio, text and weights would give other features

Make = Callable[[Utterance, Path | None], dict[str, Tensor]]  # row, its audio prompt -> "ids" and what else it takes


class FeatureCache:
    """Features of one base model. `max_positions` is the longest sequence that it takes."""

    def __init__(self, base_sha256: str, make: Make, *, max_positions: int) -> None:
        self._base_sha256 = base_sha256
        self._make = make
        self._max_positions = max_positions

    def read(self, utterance: Utterance, prompt: Path | None, folder: Path) -> tuple[str, dict[str, Tensor]]:
        """A row's key and its features. Raises BadInput naming the row for audio or text that cannot be used."""
        key = self._key(utterance, prompt)
        path = folder / f"{key}.safetensors"
        found = _stored(path)
        if found is None:
            found = self._make(utterance, prompt)
            _write(path, found)
        positions = len(found["ids"])
        if positions > self._max_positions:
            raise BadInput(
                f"Row {utterance.id} takes {positions} positions, text and audio together, and the model has "
                f"{self._max_positions}: cut its clip into shorter ones, or leave the row out."
            )
        return key, found

    def _key(self, utterance: Utterance, prompt: Path | None) -> str:
        heard = [_file_sha256(path, utterance.id) for path in (utterance.audio_path, prompt) if path is not None]
        told = (CACHE_VERSION, *heard, utterance.text, self._base_sha256)
        return hashlib.sha256("\0".join(told).encode()).hexdigest()


def _stored(path: Path) -> dict[str, Tensor] | None:
    try:
        found = load_file(str(path))
    except (FileNotFoundError, SafetensorError):
        return None
    return found if "ids" in found else None


def _file_sha256(path: Path, row: str) -> str:
    if not path.is_file():
        raise BadInput(f"{path} of row {row} is missing; put it back or take the row out of the manifest.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """A file that appears whole; of several processes that make it, the last one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save_file(tensors, str(unfinished))
    unfinished.replace(path)
