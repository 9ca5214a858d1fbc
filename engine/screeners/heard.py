"""What a screener gets and gives: the `Ear` and `Screener` protocols, a clip as it was heard, a voice as numbers.

Knows no measure and no recogniser. Everything that several screeners need of a clip is worked out once and kept by
`Heard`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from engine.types import Score, Stop, WordScore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Ear(Protocol):
    """A recogniser. `samples` are float32 mono of any rate; an ear resamples for itself.

    `phonemes` may be any units (phonemes, letters), as long as `recognise` and `expected` use the same ones.
    """

    name: str
    version: int

    def recognise(self, samples: NDArray[np.float32], sample_rate: int) -> tuple[str, ...]:
        """The units heard, without knowing the text."""
        ...

    def expected(self, text: str) -> tuple[str, ...]:
        """The units that `text` should give. Raises BadInput for a text that the ear cannot read."""
        ...

    def align(self, samples: NDArray[np.float32], sample_rate: int, text: str) -> tuple[WordScore, ...]:
        """Every word of `text` in order with its times and state, and what was heard between them as `inserted`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A voice, or one clip of it, as numbers: what distances between voices are measured with."""

    cepstrum: tuple[float, ...]  # mean mel cepstrum of its loud frames, without the level
    spread: tuple[float, ...]  # standard deviation of each coefficient over those frames
    f0_hz: float  # median; NaN when nothing is voiced
    phonemes_per_sec: float  # NaN when not known


@dataclass(frozen=True)
class Errors:
    """Edit distance of what was heard from what was meant, in phonemes."""

    expected: int
    substituted: int
    deleted: int
    inserted: int

    @property
    def percent(self) -> float:
        """Phoneme error rate in per cent of the expected phonemes; may exceed 100."""
        return 100.0 * (self.substituted + self.deleted + self.inserted) / max(1, self.expected)


@dataclass(kw_only=True)
class Heard:
    """A clip with everything that screeners may look at. `base` is of the same line by the base voice, `target` of
    the recorded voice.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    text: str
    ear: Ear | None
    clip_id: str = ""
    stop: Stop | None = None  # None: a file of which nobody knows how it ended
    base: Profile | None = None
    target: Profile | None = None

    @property
    def duration_sec(self) -> float:
        return len(self.samples) / self.sample_rate

    @cached_property
    def words(self) -> tuple[WordScore, ...]:
        """The words by the ear's alignment; empty without an ear."""
        return self.ear.align(self.samples, self.sample_rate, self.text) if self.ear else ()

    @cached_property
    def errors(self) -> Errors | None:
        """The phoneme errors by the ear; None without an ear."""
        if self.ear is None:
            return None
        return compare(self.ear.expected(self.text), self.ear.recognise(self.samples, self.sample_rate))

    @cached_property
    def profile(self) -> Profile:
        """The clip as numbers."""
        from engine.screeners import acoustics

        return acoustics.profile(
            self.samples, self.sample_rate, phonemes=len(self.ear.expected(self.text)) if self.ear else None
        )


class Screener(Protocol):
    """One measure. It flags, sorts and explains; it never issues a verdict. A changed rule is a new `version`.

    `title` and `about` say in a reviewer's words what it hears, `serves` names the reason codes of the gate that it is
    evidence for.
    """

    name: str
    version: int
    unit: str
    title: str
    about: str

    @property
    def serves(self) -> tuple[str, ...]: ...

    def __call__(self, heard: Heard) -> Score: ...


def score(
    screener: Screener,
    heard: Heard,
    *,
    value: float,
    passed: bool | None,
    explanation: str,
    reasons: Mapping[str, Sequence[str]] | None = None,
) -> Score:
    """The screener's answer about this clip; `reasons` are the codes that a flag is evidence for, with their words."""
    return Score(
        clip_id=heard.clip_id,
        screener=screener.name,
        version=screener.version,
        value=value,
        unit=screener.unit,
        passed=passed,
        explanation=explanation,
        reasons={reason: tuple(words) for reason, words in (reasons or {}).items()},
    )


# counts packed into one integer, so that comparing it compares errors first
_ERROR, _SUBSTITUTED, _DELETED = 1 << 48, 1 << 32, 1 << 16


def compare(expected: Sequence[str], recognised: Sequence[str]) -> Errors:
    """The least number of substitutions, deletions and insertions that turn `expected` into `recognised` (Levenshtein
    1966).

    Of equally short ways the one with the fewest substitutions counts. Sequences may have up to 65535 units.
    """
    row = [column * (_ERROR + 1) for column in range(len(recognised) + 1)]
    for wanted in expected:
        before, row = row, [row[0] + _ERROR + _DELETED]
        for column, got in enumerate(recognised):
            kept = before[column] + (0 if wanted == got else _ERROR + _SUBSTITUTED)
            row.append(min(kept, before[column + 1] + _ERROR + _DELETED, row[column] + _ERROR + 1))
    packed = row[-1]
    return Errors(len(expected), (packed >> 32) & 0xFFFF, (packed >> 16) & 0xFFFF, packed & 0xFFFF)
