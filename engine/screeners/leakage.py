"""Does the reference leak into the start: its words, or its last sounds, at the beginning of what should be new?

Knows one clip, its reference and its text. Words come first: sequences of units (phonemes, words or characters, as the
ear has them) from the reference's end that the text does not contain, heard in the clip's first seconds. Beside that
the correlation of the reference's last 0.8 s with the clip's first 0.8 s, which means nothing by itself: unrelated
speech reaches 0.5 easily, so it is held against the same correlation with other stretches of the reference. What needs
further clips (the base's, one with a blank reference text) is in `leakage_gates`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine import audio
from engine.screeners.heard import Better, Heard, score
from engine.types import BadInput, Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

START_SEC = 2.0  # of the clip, in which words of the reference are looked for
TAIL_SEC = 3.0  # of the reference, whose words are looked for
TRIM_SEC = 0.93  # cut off in the third gate: 80 frames of the model in which the leak was first described
WINDOW_SEC = 0.8  # that are correlated
BANDS = 60
STRETCHES = 40  # of the reference, for the null
CHANCE = 0.05
_RATE, _HOP = 16_000, 160


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the beginning of one clip has of its reference. NaN and 0 where it could not be told."""

    hits: int  # sequences of the reference's end that are heard and not asked for
    trimmed_hits: int  # the same after 0.93 s were cut off
    by_chance: int  # hits with another text in the reference's place
    correlation: float
    null: tuple[float, ...]  # the correlation with other stretches of the reference
    is_followed: bool = True  # an ear follows the voice; the hits say something only then

    @property
    def chance(self) -> float:
        """The share of other stretches that correlate as much, with one added to both as in permutation tests."""
        if math.isnan(self.correlation) or not self.null:
            return math.nan
        return (1 + sum(other >= self.correlation for other in self.null)) / (1 + len(self.null))


class Leakage:
    name = "leakage"
    version = 2
    unit = "sequences"
    better: Better = "less"
    title = "Leak of the reference"
    about = "Whether words or sounds of the reference's end are heard at the start, where only the text should be."
    serves = ("inserted speech", "onset")

    def __call__(self, heard: Heard) -> Score:
        """Sequences of the reference's end that are heard in the first 2 s and are not in the text."""
        if heard.reference is None:
            told = "Not applicable: this voice speaks without a reference."
            return score(self, heard, value=math.nan, passed=None, explanation=told)
        try:
            found = start(heard)
        except BadInput as error:
            return score(self, heard, value=math.nan, passed=None, explanation=f"The reference cannot be read: {error}")
        alike = f"the reference's last sounds correlate at {found.correlation:.2f} with the beginning"
        if not math.isnan(found.chance):
            usual = "as other stretches of it do" if found.chance > CHANCE else "more than other stretches of it do"
            alike += f", {usual}"
        if not heard.follows:
            told = f"Words of the reference cannot be listened for ({heard.why_not.rstrip('.')}); {alike}."
            return score(self, heard, value=math.nan, passed=None, explanation=told)
        words = (
            f"{found.hits} sequences of the reference's end are heard at the start"
            if found.hits
            else "No words of the reference are heard at the start"
        )
        reasons = {"inserted speech": ()} if found.hits else None
        return score(
            self, heard, value=found.hits, passed=not found.hits, explanation=f"{words}; {alike}.", reasons=reasons
        )


def start(heard: Heard, *, other_text: str = "") -> Start:
    """Measure the beginning of a clip that has a reference; `other_text` (of another reference) gives the null.

    Raises BadInput when the reference's audio cannot be read.
    """
    if heard.reference is None:
        raise BadInput("A leak can only be looked for where a clip has a reference.")
    given, rate = audio.read(heard.reference.audio_path, _RATE)
    clip = audio.resample(heard.samples, heard.sample_rate, _RATE) if heard.sample_rate != _RATE else heard.samples
    correlation, null = boundary(given, clip)
    hits = trimmed = chance = 0
    if heard.ear is not None and heard.follows:
        tail = _tail(heard.ear.expected(heard.reference.text), len(given) / rate)
        asked = heard.ear.expected(heard.text)
        count, from_start = round(START_SEC * _RATE), round(TRIM_SEC * _RATE)
        first = heard.ear.recognise(clip[:count], _RATE)
        later = heard.ear.recognise(clip[from_start : from_start + count], _RATE) if len(clip) > from_start else ()
        size = heard.ear.telling
        hits, trimmed = (overlap(tail, asked, said, size) for said in (first, later))
        if other_text:
            other = _tail(heard.ear.expected(other_text), len(given) / rate)
            chance = overlap(other, (*asked, *tail), first, size)
    return Start(
        hits=hits,
        trimmed_hits=trimmed,
        by_chance=chance,
        correlation=correlation,
        null=null,
        is_followed=heard.follows,
    )


def overlap(tail: Sequence[str], asked: Sequence[str], said: Sequence[str], size: int) -> int:
    """How many runs of `size` units of `tail`, which `asked` does not have, are in `said`."""

    def runs(units: Sequence[str]) -> set[tuple[str, ...]]:
        return {tuple(units[n : n + size]) for n in range(len(units) - size + 1)}

    return len((runs(tail) - runs(asked)) & runs(said))


def _tail(units: Sequence[str], seconds: float) -> tuple[str, ...]:
    """The units of the last 3 s of a text that takes `seconds`."""
    return tuple(units[-max(1, math.ceil(len(units) * min(1.0, TAIL_SEC / max(seconds, 0.1)))) :])


def boundary(reference: NDArray[np.float32], clip: NDArray[np.float32]) -> tuple[float, tuple[float, ...]]:
    """Correlation of the reference's last 0.8 s with the clip's first, and of other stretches of the reference.

    Samples at 16 kHz. Pearson's r of log mel frames, each band in units of its own spread over reference and clip, at
    the best lag of up to 0.4 s. NaN for clips that are too short.
    """
    frames = round(WINDOW_SEC * _RATE / _HOP)
    before, after = _log_mel(reference), _log_mel(clip)
    if len(before) < 2 * frames or len(after) < frames:
        return math.nan, ()
    both = np.concatenate([before, after])
    middle, spread = both.mean(axis=0), both.std(axis=0) + 1e-6
    before, after = (before - middle) / spread, (after - middle) / spread
    places = np.linspace(0, len(before) - 2 * frames, STRETCHES).round().astype(int)
    null = [_correlation(before[place : place + frames], after[:frames]) for place in dict.fromkeys(places.tolist())]
    return _correlation(before[-frames:], after[:frames]), tuple(null)


def _correlation(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """The highest r of the end of `before` with the beginning of `after`, over lags of up to half of their length."""
    frames = len(before)
    found = []
    for lag in range(0, frames // 2, 2):
        one, other = before[lag:].ravel(), after[: frames - lag].ravel()
        one, other = one - one.mean(), other - other.mean()
        scale = float(np.linalg.norm(one) * np.linalg.norm(other))
        found.append(float(one @ other) / scale if scale > 0 else 0.0)
    return max(found)


def _log_mel(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log mel frames of the sounding part, silence at both ends left out, shape (frames, bands)."""
    import librosa

    from engine.screeners import acoustics

    sounding = np.flatnonzero(acoustics.active(samples, _RATE))
    if not len(sounding):
        return np.zeros((0, BANDS))
    inside = samples[sounding[0] * _HOP : (sounding[-1] + 1) * _HOP]
    if len(inside) < 512:
        return np.zeros((0, BANDS))
    mel = librosa.feature.melspectrogram(y=inside, sr=_RATE, n_fft=512, hop_length=_HOP, n_mels=BANDS)
    return np.log(mel.T.astype(np.float64) + 1e-6)
