"""Screeners: automatic measures of a clip, one small file each. They flag, sort and explain; people decide.

Knows the table of measures, how a clip is read for them, and how a backend's ear is found. A new measure is a file
with a class that follows `Screener`, and a line in `SCREENERS`; a new recogniser follows `Ear`, and gets a line in
`EARS`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from engine import audio, clip_tokens
from engine.screeners.after_text import AfterText
from engine.screeners.boundary_tokens import BoundaryTokens
from engine.screeners.clipping import Clipping
from engine.screeners.end import End
from engine.screeners.heard import Ear, Heard, Screener, knows
from engine.screeners.leakage import Leakage, Start, start
from engine.screeners.long_form import LongForm
from engine.screeners.loudness import Loudness
from engine.screeners.noise import Noise
from engine.screeners.onset import Onset
from engine.screeners.phoneme_ear import PhonemeEar
from engine.screeners.phoneme_errors import PhonemeErrors
from engine.screeners.pitch import Pitch
from engine.screeners.pitch_range import PitchRange
from engine.screeners.rate import Rate
from engine.screeners.silence import Silence
from engine.screeners.silence_share import SilenceShare
from engine.screeners.similarity import Similarity
from engine.screeners.speaker import Speaker
from engine.screeners.voice_profile import Profile, pooled
from engine.screeners.words import Words
from engine.types import BadInput, Clip, Score, Utterance, WordScore

if TYPE_CHECKING:
    from engine.whisper import Whisper

__all__ = [
    "SCREENERS",
    "Ear",
    "Heard",
    "Profile",
    "Screener",
    "Screening",
    "ears",
    "leak",
    "profile",
    "screen",
    "screen_file",
    "words",
]

SCREENERS: dict[str, Screener] = {
    screener.name: screener
    for screener in (
        *(Words(), PhonemeErrors(), AfterText(), End(), Rate(), LongForm(), Silence(), SilenceShare(), Onset()),
        *(Clipping(), Loudness(), Noise(), Pitch(), PitchRange(), Similarity(), Speaker(), Leakage()),
        BoundaryTokens(),
    )
}
# backend -> module that has `load() -> Ear | None`; None when its weights are not installed
EARS: dict[str, str] = {"finch": "engine.screeners.finch_ear"}
REAL_SPEECH = "engine.screeners.hama_ear"
PROFILE_SEC = 60.0  # of a recorded voice are enough to know its timbre and pitch
MIN_SEC = 0.1


@dataclass(frozen=True, kw_only=True)
class Screening:
    """What is heard in one file."""

    duration_sec: float
    words: tuple[WordScore, ...]
    scores: tuple[Score, ...]


def ears(backend: str, language: str = "en", whisper: Whisper | None = None) -> tuple[Ear, ...]:
    """The recognisers for a backend's clips in a language, the best first: of each clip the first that can follow its
    voice judges. None at all: words are not judged, and never "ok".

    A backend's own ear knows its voice best. Next comes the one that hears real speech, which writes down what it
    hears; Whisper, where one is configured, writes what it expects; last the built-in voice's.
    """
    real = _load(REAL_SPEECH)
    found = [*([_load(EARS[backend])] if backend in EARS else []), real]
    if whisper is not None:
        from engine.screeners.whisper_ear import WhisperEar

        found.append(WhisperEar(whisper, language))
    if backend not in EARS:
        found.append(_load(EARS["finch"]))
        if found[-1] is not None:
            found[-1].at_home = False
    for each in found:
        if isinstance(each, PhonemeEar) and isinstance(real, PhonemeEar) and each is not real:
            each.second = real
    return tuple(each for each in found if each is not None and knows(each, language))


def _load(module: str) -> Ear | None:
    found: Ear | None = import_module(module).load()
    return found


def screen(
    clip: Clip, *, ears: tuple[Ear, ...] = (), target: Profile | None = None, base: Profile | None = None
) -> list[Score]:
    """Every screener's answer about a clip. `base` is of the base's clip of the same line and seed, `target` of the
    recorded voice.
    """
    heard = _heard(clip.path, clip.text, ears, clip.language)
    heard.clip_id, heard.stop, heard.base, heard.target = clip.id, clip.stop, base, target
    heard.reference, heard.speech_tokens = clip.reference, clip_tokens.read(clip.path)
    return [screener(heard) for screener in SCREENERS.values()]


def screen_file(
    path: Path,
    text: str,
    *,
    ears: tuple[Ear, ...] = (),
    language: str = "en",
    base: Profile | None = None,
    target: Profile | None = None,
) -> Screening:
    """Every screener's answer about any file that should say `text`. Raises BadInput for a file or text that cannot
    be used.
    """
    if not any(character.isalnum() for character in text):
        raise BadInput("Screening needs the text that the clip should say; give at least one word.")
    heard = _heard(path, text, ears, language)
    heard.base, heard.target = base, target
    scores = tuple(screener(heard) for screener in SCREENERS.values())
    return Screening(duration_sec=heard.duration_sec, words=heard.words if heard.follows else (), scores=scores)


def leak(clip: Clip, ears: tuple[Ear, ...] = (), *, other_text: str = "") -> tuple[Start | None, float]:
    """What a clip's beginning has of its reference (None where the reference's text was left blank), and its errors in
    per cent, NaN without an ear that reads the text. `other_text` is what another reference says. Raises BadInput when
    the reference's audio cannot be read.
    """
    heard = _heard(clip.path, clip.text, ears, clip.language)
    heard.reference = clip.reference
    percent = heard.errors.percent if heard.errors else math.nan
    if clip.reference is None or not clip.reference.text.strip():
        return None, percent
    return start(heard, other_text=other_text), percent


def words(clip: Clip, ears: tuple[Ear, ...] = ()) -> tuple[WordScore, ...]:
    """The clip's words with times and states; empty without an ear that follows the voice."""
    heard = _heard(clip.path, clip.text, ears, clip.language)
    return heard.words if heard.follows else ()


def profile(
    utterances: Sequence[Utterance] | Sequence[Clip], ears: tuple[Ear, ...] = (), *, max_sec: float = PROFILE_SEC
) -> Profile | None:
    """A voice as numbers, from its recordings or clips: the first ones, up to `max_sec`. None without any."""
    found: list[Profile] = []
    total = 0.0
    for each in utterances:
        path = each.audio_path if isinstance(each, Utterance) else each.path
        heard = _heard(path, each.text, ears, each.language)
        found.append(heard.profile)
        total += heard.duration_sec
        if total >= max_sec:
            break
    return pooled(found) if found else None


def _heard(path: Path, text: str, ears: tuple[Ear, ...], language: str) -> Heard:
    samples, rate = audio.read(path)
    if len(samples) < MIN_SEC * rate:
        raise BadInput(f"{path} is {len(samples) / rate:.2f} s long; a clip of {MIN_SEC:g} s or more can be screened.")
    return Heard(samples=samples, sample_rate=rate, text=text, ears=ears, language=language)
