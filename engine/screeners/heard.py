"""What a screener gets and gives: the `Ear` and `Screener` protocols, and a clip as it was heard.

Knows no measure and no recogniser. Everything that several screeners need of a clip is worked out once and kept by
`Heard`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, Protocol

from engine.screeners import voice_profile
from engine.screeners.voice_profile import Profile
from engine.types import BadInput, Reference, Score, SpeechTokens, Stop, WordScore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LOST_PERCENT = 150.0  # phoneme errors, beyond which even additions leave nothing of the text
UNHEARD = 0.7  # of the text: an ear that was not made for a voice and hears less than the rest of it may be deaf to it

Better = Literal["less", "more", "neither"]  # of a measure: "neither" is told by how far it is from the base


class Ear(Protocol):
    """A recogniser. `samples` are float32 mono of any rate; an ear resamples for itself.

    `phonemes` may be any units (phonemes, letters), as long as `recognise` and `expected` use the same ones.
    """

    name: str
    version: int
    languages: tuple[str, ...]  # that it can follow, as "en"; none: any
    telling: int  # so many units in a row tell which text was spoken
    strange: float  # the share of what is heard that may come out as something else, for words to be told apart
    at_home: bool  # made for this voice: what it cannot follow is garbled, not strange to it

    def recognise(self, samples: NDArray[np.float32], sample_rate: int) -> tuple[str, ...]:
        """The units heard, without knowing the text."""
        ...

    def expected(self, text: str) -> tuple[str, ...]:
        """The units that `text` should give. Raises BadInput for a text that the ear cannot read."""
        ...

    def align(self, samples: NDArray[np.float32], sample_rate: int, text: str) -> tuple[WordScore, ...]:
        """Every word of `text` in order with its times and state, and what was heard between them as `inserted`."""
        ...


@dataclass(frozen=True)
class Errors:
    """Edit distance of what was heard from what was meant, in phonemes."""

    expected: int
    substituted: int
    deleted: int
    inserted: int

    @property
    def strange(self) -> float:
        """The share of what was heard in the text's place that came out as something else. Words that are missing or
        added do not count: a voice that drops words may be followed well.
        """
        return self.substituted / max(1, self.expected - self.deleted)

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
    ears: tuple[Ear, ...] = ()  # the first of them that follows the voice judges
    clip_id: str = ""
    stop: Stop | None = None  # None: a file of which nobody knows how it ended
    base: Profile | None = None
    target: Profile | None = None
    language: str = "en"
    reference: Reference | None = None
    speech_tokens: tuple[SpeechTokens, ...] | None = None  # of each chunk; None: not known
    _errors: dict[str, Errors | None] = field(default_factory=dict, repr=False)  # by the name of the ear

    @property
    def duration_sec(self) -> float:
        return len(self.samples) / self.sample_rate

    @cached_property
    def ear(self) -> Ear | None:
        """The ear that judges: the first one that can follow this voice; where none can, the first that knows its
        language.
        """
        able = [ear for ear in self.ears if knows(ear, self.language)]
        following = (ear for ear in able if not self._why_not(ear))
        return next(following, able[0] if able else self.ears[0] if self.ears else None)

    @cached_property
    def words(self) -> tuple[WordScore, ...]:
        """The words by the ear's alignment; empty without an ear that knows the language and can read the text."""
        if self.errors is None or self.ear is None:
            return ()
        return self.ear.align(self.samples, self.sample_rate, self.text)

    @property
    def errors(self) -> Errors | None:
        """The phoneme errors by the ear; None without an ear that knows the language and can read the text."""
        return self._errors_by(self.ear) if self.ear else None

    @property
    def follows(self) -> bool:
        """The ear hears what is said in this voice well enough to say which words are there."""
        return not self.why_not

    @cached_property
    def why_not(self) -> str:
        """Why this voice cannot be judged by its words, in a sentence; "" when it can."""
        return self._why_not(self.ear) if self.ear else "Cannot judge this voice: no recogniser is there for it."

    def _why_not(self, ear: Ear) -> str:
        errors = self._errors_by(ear)
        if errors is None:
            return f"Cannot judge this voice: {ear.name} cannot read a text in the language {self.language!r}."
        is_deaf = not ear.at_home and errors.deleted > UNHEARD * errors.expected
        if is_deaf or errors.strange > ear.strange or errors.percent > LOST_PERCENT:
            return "Cannot judge this voice: the ear cannot follow it, so it cannot say which words are there; listen."
        return ""

    def _errors_by(self, ear: Ear) -> Errors | None:
        if ear.name not in self._errors:
            self._errors[ear.name] = self._compared(ear)
        return self._errors[ear.name]

    def _compared(self, ear: Ear) -> Errors | None:
        if not knows(ear, self.language):
            return None
        try:
            return compare(ear.expected(self.text), ear.recognise(self.samples, self.sample_rate))
        except BadInput:
            return None

    @cached_property
    def profile(self) -> Profile:
        """The clip as numbers."""
        phonemes = self.errors.expected if self.errors else None
        letters = sum(character.isalnum() for character in self.text)
        return voice_profile.profile(self.samples, self.sample_rate, phonemes=phonemes, letters=letters)


def knows(ear: Ear, language: str) -> bool:
    """The ear can follow a language such as "en" or "en-GB"."""
    return not ear.languages or language.lower().replace("_", "-").partition("-")[0] in ear.languages


class Screener(Protocol):
    """One measure. It flags, sorts and explains; it never issues a verdict. A changed rule is a new `version`.

    `title` and `about` say in a reviewer's words what it hears, `serves` names the reason codes of the gate that it is
    evidence for, `better` which way is good.
    """

    name: str
    version: int
    unit: str
    better: Better
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
