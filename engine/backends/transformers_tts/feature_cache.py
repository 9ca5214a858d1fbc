"""Training examples of one model, with what its tokenizer and codec make of each clip kept on disk.

Knows what they follow from: the clip's audio (and its prompt's), its text and the base weights. What they are is the
model's business.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from engine.backends import feature_files
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
        found = feature_files.read(folder, key, ["ids"])
        if found is None:
            found = self._make(utterance, prompt)
            feature_files.write(folder, key, found)
        positions = len(found["ids"])
        if positions > self._max_positions:
            raise BadInput(
                f"Row {utterance.id} takes {positions} positions, text and audio together, and the model has "
                f"{self._max_positions}: cut its clip into shorter ones, or leave the row out."
            )
        return key, found

    def _key(self, utterance: Utterance, prompt: Path | None) -> str:
        clips = [path for path in (utterance.audio_path, prompt) if path is not None]
        heard = [feature_files.clip_sha256(path, utterance.id) for path in clips]
        return feature_files.key(CACHE_VERSION, *heard, utterance.text, self._base_sha256)
