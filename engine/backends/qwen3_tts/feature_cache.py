"""Training examples of Qwen3-TTS from utterances, with each clip's codes and speaker vector kept on disk.

Knows the cache: one safetensors file a clip, keyed by the bytes of its audio and by the base weights, so that another
text does not encode it again. Files appear whole, so that runs may share them.
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

from engine import audio
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
        audio_sha256 = _file_sha256(path, row)
        key = hashlib.sha256(f"{CACHE_VERSION}\0{audio_sha256}\0{self._base_sha256}".encode()).hexdigest()
        stored = _stored(folder / f"{key}.safetensors")
        if stored is None:
            _must_be_24_khz(path, row)
            stored = self._measure(path)
            _write(folder / f"{key}.safetensors", stored)
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
        key = hashlib.sha256(f"{audio_sha256}\0{row.text}".encode()).hexdigest()
        return Example(key, self._ids(row.text), stored["codes"].long(), speaker)


def _must_be_24_khz(path: Path, row: str) -> None:
    told = audio.probe(path)
    if told.sample_rate != SAMPLE_RATE or told.channels != 1:
        raise BadInput(
            f"{path.name} of row {row} has {told.sample_rate} Hz and {told.channels} channels, and this model is "
            f"trained on {SAMPLE_RATE} Hz mono; prepare the dataset for it on the data page."
        )


def _stored(path: Path) -> dict[str, Tensor] | None:
    try:
        stored = load_file(str(path))
    except (FileNotFoundError, SafetensorError):
        return None
    return stored if "codes" in stored else None


def _file_sha256(path: Path, row: str) -> str:
    if not path.is_file():
        raise BadInput(f"{path} of row {row} is missing; put it back or take the row out of the manifest.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """A file that appears whole; of several processes that make it, the last one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(unfinished))
    unfinished.replace(path)
