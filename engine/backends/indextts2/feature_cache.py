"""Training examples of IndexTTS2 from utterances, with what is heard of each clip kept on disk, and its prompts chosen.

Knows the cache: one safetensors file a clip, keyed by the bytes of its audio and the base weights. Files appear whole,
so that runs may share them. Knows that a clip is learned after another clip of its speaker, as it will be spoken: after
itself, the model would learn to copy.
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

from engine.backends.indextts2.hearing import Conditioning
from engine.backends.indextts2.info import ModelFolder
from engine.backends.indextts2.teaching import Example, Told
from engine.types import BadInput, Utterance

CACHE_VERSION = "1"  # changes when the same audio and weights would give other features
PROMPTS = 4  # other clips of its speaker that an example may be learned after
TRAIN = ("train", "")

Measure = Callable[[Path], dict[str, Tensor]]
"""Audio file -> `codes` (n,), and of its conditioning `latents` (32, width), `emotion` (width,), `style` (192,)."""


class FeatureCache:
    """Examples of one base model. `told` makes what the GPT is told of a conditioning, for a voice."""

    def __init__(
        self,
        base_sha256: str,
        folder: ModelFolder,
        *,
        measure: Measure,
        ids: Callable[[str], Sequence[int]],
        told: Callable[[Conditioning, str], Told],
    ) -> None:
        self._base_sha256 = base_sha256
        self._folder = folder
        self._measure = measure
        self._ids = ids
        self._told = told

    def examples(self, utterances: Sequence[Utterance], voice: str, cache: Path) -> list[Example]:
        """One example an utterance, in order. Raises BadInput naming the row for audio or text that cannot be used, and
        for a clip whose speaker has no other one to be learned after.
        """
        measured = {row.id: self.measured(row.audio_path, row.id, cache) for row in utterances}
        told: dict[str, Told] = {}

        def prompt(key: str, stored: dict[str, Tensor]) -> Told:
            if key not in told:
                heard = Conditioning(stored["latents"], stored["emotion"], stored["style"])
                told[key] = self._told(heard, voice)
            return told[key]

        made = []
        for row in utterances:
            audio_sha256, stored = measured[row.id]
            if row.reference_audio is not None:
                chosen = [self.measured(row.reference_audio, row.id, cache)]
            else:
                chosen = [measured[one] for one in _others(row, audio_sha256, utterances, measured)]
            prompts = tuple(prompt(*one) for one in chosen)
            made.append(self._example(row, audio_sha256, stored["codes"].long(), prompts))
        return made

    def measured(self, path: Path, row: str, cache: Path) -> tuple[str, dict[str, Tensor]]:
        """The hash of a clip and what was heard of it."""
        audio_sha256 = _file_sha256(path, row)
        key = hashlib.sha256(f"{CACHE_VERSION}\0{audio_sha256}\0{self._base_sha256}".encode()).hexdigest()
        stored = _stored(cache / f"{key}.safetensors")
        if stored is None:
            try:
                stored = self._measure(path)
            except BadInput as error:
                raise BadInput(f"Row {row}: {error}") from error
            _write(cache / f"{key}.safetensors", stored)
        return audio_sha256, stored

    def _example(self, row: Utterance, audio_sha256: str, codes: Tensor, prompts: tuple[Told, ...]) -> Example:
        text = tuple(self._ids(row.text)) if row.text.strip() else ()
        if not text:
            raise BadInput(f"Row {row.id} has no text; give it its words, or leave the row out.")
        if len(text) > self._folder.max_text or len(codes) > self._folder.max_codes:
            raise BadInput(
                f"Row {row.id} has {len(text)} text tokens and {len(codes)} codes, and IndexTTS2 has places for "
                f"{self._folder.max_text} and {self._folder.max_codes}: cut its clip into shorter ones."
            )
        key = hashlib.sha256(f"{audio_sha256}\0{row.text}".encode()).hexdigest()
        return Example(key, text, codes, prompts)


def _others(
    row: Utterance,
    audio_sha256: str,
    utterances: Sequence[Utterance],
    measured: dict[str, tuple[str, dict[str, Tensor]]],
) -> list[str]:
    """The ids of a row's prompts: a few other clips of its speaker that are trained on, the same ones whenever they
    are there, since they follow from the bytes of both.
    """
    able = {
        measured[one.id][0]: one.id
        for one in utterances
        if one.speaker == row.speaker and one.split in TRAIN and measured[one.id][0] != audio_sha256
    }
    if not able:
        who = f"speaker {row.speaker!r}" if row.speaker else "its speaker"
        raise BadInput(
            f"Row {row.id} is the only clip of {who} to learn from: IndexTTS2 learns a clip after another one of the "
            "same voice. Add clips, correct the speaker, or name reference audio for the row."
        )
    ranked = sorted(able, key=lambda other: hashlib.sha256(f"{audio_sha256}\0{other}".encode()).hexdigest())
    return [able[key] for key in ranked[:PROMPTS]]


def _stored(path: Path) -> dict[str, Tensor] | None:
    try:
        stored = load_file(str(path))
    except (FileNotFoundError, SafetensorError):
        return None
    return stored if {"codes", "latents", "emotion", "style"} <= stored.keys() else None


def _file_sha256(path: Path, row: str) -> str:
    if not path.is_file():
        raise BadInput(f"{path} of row {row} is missing; put it back or take the row out of the manifest.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """A file that appears whole; of several processes that make it, the last one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    save_file({name: torch.clone(tensor).contiguous() for name, tensor in tensors.items()}, str(unfinished))
    unfinished.replace(path)
