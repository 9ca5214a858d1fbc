"""Training examples of VoxCPM from utterances, with what the codec makes of each clip kept on disk.

Knows what they follow from: the clip's audio (and its reference's), its text and the base weights. What an example is
belongs to `sequences`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from engine.backends import feature_files
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
        stored = feature_files.read(folder, key, ["text", "patches"])
        if stored is None:
            stored = self._made(utterance, reference)
            feature_files.write(folder, key, stored)
        text = tuple(int(token) for token in stored["text"].tolist())
        example = Example(key, text, stored["patches"], stored.get("reference"))
        if example.positions > self._max_length:
            raise BadInput(
                f"Row {utterance.id} takes {example.positions} positions, text and audio together, and the model has "
                f"{self._max_length}: cut its clip into shorter ones, or leave the row out."
            )
        return example

    def _key(self, utterance: Utterance, reference: Path | None) -> str:
        clips = [path for path in (utterance.audio_path, reference) if path is not None]
        heard = [feature_files.clip_sha256(path, utterance.id) for path in clips]
        return feature_files.key(CACHE_VERSION, *heard, utterance.text, self._base_sha256)

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
