"""Training examples of VoxCPM from utterances, with what the codec makes of each clip kept on disk.

Knows the cache: one safetensors file an utterance, keyed by the bytes of its audio (and of its reference's), its text
and the base weights. Files appear whole, so that runs may share them. What an example is belongs to `sequences`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.backends.voxcpm.sequences import Example
from engine.types import BadInput, Utterance

CACHE_VERSION = "1"  # changes when the same audio, text and weights would give other features

Encode = Callable[[Path], Tensor]  # audio file -> patches (n, patch, dim)
Tokenize = Callable[[str], Sequence[int]]


class FeatureCache:
    """Examples of one base model. `max_length` is the longest sequence that it takes, in positions."""

    def __init__(
        self, base_sha256: str, *, encode: Encode, tokenize: Tokenize, max_length: int, takes_references: bool
    ) -> None:
        self._base_sha256 = base_sha256
        self._encode = encode
        self._tokenize = tokenize
        self._max_length = max_length
        self._takes_references = takes_references

    def examples(self, utterances: Sequence[Utterance], folder: Path) -> list[Example]:
        """One example an utterance, in order. Raises BadInput naming the row for audio or text that cannot be used."""
        return [self._example(utterance, folder) for utterance in utterances]

    def _example(self, utterance: Utterance, folder: Path) -> Example:
        reference = utterance.reference_audio if self._takes_references else None
        key = self._key(utterance, reference)
        path = folder / f"{key}.safetensors"
        stored = _stored(path)
        if stored is None:
            stored = self._made(utterance, reference)
            _write(path, stored)
        text = tuple(int(token) for token in stored["text"].tolist())
        example = Example(key, text, stored["patches"], stored.get("reference"))
        if example.positions > self._max_length:
            raise BadInput(
                f"Row {utterance.id} takes {example.positions} positions, text and audio together, and the model has "
                f"{self._max_length}: cut its clip into shorter ones, or leave the row out."
            )
        return example

    def _key(self, utterance: Utterance, reference: Path | None) -> str:
        heard = [_file_sha256(path, utterance.id) for path in (utterance.audio_path, reference) if path is not None]
        return hashlib.sha256(
            "\0".join((CACHE_VERSION, *heard, utterance.text, self._base_sha256)).encode()
        ).hexdigest()

    def _made(self, utterance: Utterance, reference: Path | None) -> dict[str, Tensor]:
        ids = self._tokenize(utterance.text)
        if not ids:
            raise BadInput(
                f"Row {utterance.id} has no text: it would teach the model to stop whatever it is told. Give it its "
                "words, or leave the row out."
            )
        made = {"text": torch.tensor(ids, dtype=torch.int32), "patches": self._encode(utterance.audio_path)}
        if reference is not None:
            made["reference"] = self._encode(reference)
        return made


def _stored(path: Path) -> dict[str, Tensor] | None:
    try:
        stored = load_file(str(path))
    except (FileNotFoundError, SafetensorError):
        return None
    return stored if {"text", "patches"} <= stored.keys() else None


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
