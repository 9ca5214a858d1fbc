"""Training examples of CosyVoice from utterances, with what its ears make of each clip kept on disk.

Knows the cache: one safetensors file an utterance, keyed by the bytes of its audio and the base weights. Files appear
whole, so that runs may share them. What an example is belongs to `sequences`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.backends.cosyvoice.frontend import Features, Frontend
from engine.backends.cosyvoice.sequences import Example
from engine.types import BadInput, Utterance

CACHE_VERSION = "1"  # changes when the same audio and weights would give other features
MAX_TEXT = 200  # text tokens: upstream drops longer rows in silence
TRAIN = "train"


class FeatureCache:
    """Examples of one base model."""

    def __init__(self, base_sha256: str, frontend: Frontend) -> None:
        self._base_sha256 = base_sha256
        self._frontend = frontend

    def examples(self, utterances: Sequence[Utterance], folder: Path, instruction: str = "") -> list[Example]:
        """One example an utterance, in order; all have the mean speaker vector of the rows for training, and are told
        the same instruction.

        That is what upstream advises for one speaker, and what speaking without a reference will use. Raises BadInput
        naming the row for audio or text that cannot be used.
        """
        prompt = tuple(self._frontend.prompt_ids(instruction=instruction))
        made = [self._example(utterance, folder, prompt) for utterance in utterances]
        own = [e.speaker for u, e in zip(utterances, made, strict=True) if u.split == TRAIN]
        if not made:
            return []
        speaker = mean_speaker(own or [example.speaker for example in made])
        return [replace(example, speaker=speaker) for example in made]

    def _example(self, utterance: Utterance, folder: Path, prompt: tuple[int, ...]) -> Example:
        text = self._frontend.text_ids(utterance.text)
        if not text:
            raise BadInput(f"Row {utterance.id} has no text; give it its words, or leave the row out.")
        if len(text) > MAX_TEXT:
            raise BadInput(
                f"Row {utterance.id} has {len(text)} text tokens and CosyVoice is trained on at most {MAX_TEXT}: cut "
                "its clip into shorter ones; a text is never cut by itself."
            )
        audio_sha256 = _file_sha256(utterance.audio_path, utterance.id)
        key = hashlib.sha256("\0".join((CACHE_VERSION, audio_sha256, self._base_sha256)).encode()).hexdigest()
        heard = self._heard(utterance, folder / f"{key}.safetensors")
        return Example(
            key=hashlib.sha256(f"{key}\0{utterance.text}".encode()).hexdigest(),
            prompt=prompt,
            text=tuple(text),
            tokens=heard.tokens,
            mel=heard.mel,
            speaker=heard.speaker,
        )

    def _heard(self, utterance: Utterance, path: Path) -> Features:
        try:
            stored = load_file(str(path))
            return Features(tokens=stored["tokens"].long(), mel=stored["mel"], speaker=stored["speaker"])
        except (FileNotFoundError, SafetensorError, KeyError):
            pass
        try:
            made = self._frontend.features(utterance.audio_path)
        except BadInput as error:
            raise BadInput(f"Row {utterance.id}: {error}") from error
        _write(path, {"tokens": made.tokens.int(), "mel": made.mel, "speaker": made.speaker})
        return made


def mean_speaker(vectors: Sequence[Tensor]) -> Tensor:
    """The mean direction (192,) of speaker vectors: each counts alike, whatever its length."""
    unit = torch.nn.functional.normalize(torch.stack(list(vectors)), dim=1).mean(dim=0)
    return torch.nn.functional.normalize(unit, dim=0)


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
