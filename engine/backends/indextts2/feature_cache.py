"""Training examples of IndexTTS2 from utterances, with what is heard of each clip kept on disk, and its prompts chosen.

Knows what follows from a clip's audio and the base weights, whatever its text, and that a clip is learned after another
clip of its speaker, as it will be spoken: after itself, the model would learn to copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from engine.backends import feature_files
from engine.backends.indextts2.hearing import Conditioning
from engine.backends.indextts2.info import ModelFolder
from engine.backends.indextts2.teaching import Example, Told
from engine.types import BadInput, Utterance

CACHE_VERSION = "1"  # changes when the same audio and weights would give other features
PROMPTS = 4  # other clips of its speaker that an example may be learned after
TRAIN = ("train", "")
HEARD = ("codes", "latents", "emotion", "style")

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
        audio_sha256 = feature_files.clip_sha256(path, row)
        key = feature_files.key(CACHE_VERSION, audio_sha256, self._base_sha256)
        stored = feature_files.read(cache, key, HEARD)
        if stored is None:
            try:
                stored = self._measure(path)
            except BadInput as error:
                raise BadInput(f"Row {row}: {error}") from error
            feature_files.write(cache, key, stored)
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
        key = feature_files.key(audio_sha256, row.text)
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
    ranked = sorted(able, key=lambda other: feature_files.key(audio_sha256, other))
    return [able[key] for key in ranked[:PROMPTS]]
