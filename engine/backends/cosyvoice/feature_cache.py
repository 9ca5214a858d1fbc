"""Training examples of CosyVoice from utterances, with what its ears make of each clip kept on disk.

Knows what follows from a clip's audio and the base weights, whatever its text. What an example is belongs to
`sequences`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from engine.backends import feature_files
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
        audio_sha256 = feature_files.clip_sha256(utterance.audio_path, utterance.id)
        key = feature_files.key(CACHE_VERSION, audio_sha256, self._base_sha256)
        heard = self._heard(utterance, folder, key)
        return Example(
            key=feature_files.key(key, utterance.text),
            prompt=prompt,
            text=tuple(text),
            tokens=heard.tokens,
            mel=heard.mel,
            speaker=heard.speaker,
        )

    def _heard(self, utterance: Utterance, folder: Path, key: str) -> Features:
        if stored := feature_files.read(folder, key, ["tokens", "mel", "speaker"]):
            return Features(tokens=stored["tokens"].long(), mel=stored["mel"], speaker=stored["speaker"])
        try:
            made = self._frontend.features(utterance.audio_path)
        except BadInput as error:
            raise BadInput(f"Row {utterance.id}: {error}") from error
        feature_files.write(folder, key, {"tokens": made.tokens.int(), "mel": made.mel, "speaker": made.speaker})
        return made


def mean_speaker(vectors: Sequence[Tensor]) -> Tensor:
    """The mean direction (192,) of speaker vectors: each counts alike, whatever its length."""
    unit = torch.nn.functional.normalize(torch.stack(list(vectors)), dim=1).mean(dim=0)
    return torch.nn.functional.normalize(unit, dim=0)
