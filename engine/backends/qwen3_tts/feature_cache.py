"""Training examples of Qwen3-TTS from utterances, with each clip's codes and speaker vector kept on disk.

Knows what follows from a clip's audio and the base weights, so that another text does not encode it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from engine import audio
from engine.backends import feature_files
from engine.backends.qwen3_tts.info import MAX_FRAMES, SAMPLE_RATE
from engine.backends.qwen3_tts.teaching import Example
from engine.types import BadInput, Utterance

CACHE_VERSION = "1"  # changes when the same audio and weights would give other features

Measure = Callable[[Path], dict[str, Tensor]]
"""Audio file -> `codes` (frames, groups), and `speaker` (width,) where the model hears one."""


class FeatureCache:
    """Examples of one base model."""

    def __init__(self, base_sha256: str, *, measure: Measure, ids: Callable[[str], tuple[int, ...]]) -> None:
        self._base_sha256 = base_sha256
        self._measure = measure
        self._ids = ids

    def examples(self, utterances: Sequence[Utterance], folder: Path) -> list[Example]:
        """One example an utterance, in order. All have one vector, the mean over the clips or, where rows name
        reference audio, over those files, each once: what the voice will be spoken with is what it is trained with.

        Raises BadInput naming the row for audio or text that cannot be used.
        """
        measured = {row.id: self.measured(row.audio_path, row.id, folder) for row in utterances}
        heard = {row.reference_audio or row.audio_path: row.id for row in utterances}
        vectors = [self.measured(path, row, folder)[1].get("speaker") for path, row in sorted(heard.items())]
        known = [vector.double() for vector in vectors if vector is not None]
        speaker = torch.stack(known).mean(0).float() if known else None
        return [self._example(row, *measured[row.id], speaker) for row in utterances]

    def measured(self, path: Path, row: str, folder: Path) -> tuple[str, dict[str, Tensor]]:
        """The hash of a clip and what was measured of it."""
        audio_sha256 = feature_files.clip_sha256(path, row)
        key = feature_files.key(CACHE_VERSION, audio_sha256, self._base_sha256)
        stored = feature_files.read(folder, key, ["codes"])
        if stored is None:
            _must_be_24_khz(path, row)
            stored = self._measure(path)
            feature_files.write(folder, key, stored)
        return audio_sha256, stored

    def _example(self, row: Utterance, audio_sha256: str, stored: dict[str, Tensor], speaker: Tensor | None) -> Example:
        if not row.text.strip():
            raise BadInput(
                f"Row {row.id} has no text: it would teach the model to speak whatever it is told. Give it its words, "
                "or leave the row out."
            )
        if len(stored["codes"]) > MAX_FRAMES:
            raise BadInput(
                f"Row {row.id} is longer than 24 s, which is more than this model says in one go: cut its clip into "
                "shorter ones, or leave the row out."
            )
        key = feature_files.key(audio_sha256, row.text)
        return Example(key, self._ids(row.text), stored["codes"].long(), speaker)


def _must_be_24_khz(path: Path, row: str) -> None:
    told = audio.probe(path)
    if told.sample_rate != SAMPLE_RATE or told.channels != 1:
        raise BadInput(
            f"{path.name} of row {row} has {told.sample_rate} Hz and {told.channels} channels, and this model is "
            f"trained on {SAMPLE_RATE} Hz mono; prepare the dataset for it on the data page."
        )
