"""What any recogniser of transcripts offers: a text as units, a clip as heard, and where the two agree least.

Knows no recogniser and does not judge: `audit.english_ear` and `whisper` hear, `audit.transcripts` judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A text as the recogniser's units (phonemes, words, characters), and the written words that they belong to."""

    units: tuple[str, ...]
    word_of: tuple[int, ...]  # for each unit its place in `words`
    words: tuple[str, ...]

    def part(self, begin: int, end: int) -> str:
        """The written words of some units."""
        places = sorted(set(self.word_of[begin:end]))
        return " ".join(self.words[place] for place in places)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Where text and audio agree least: units `begin` to `end` of the text, in whose place `heard` units are spoken.

    `excess` is how many units' worth of cost it has beyond what was allowed: about 0 for a right text.
    """

    begin: int
    end: int
    heard: int
    excess: float


class Hearing(Protocol):
    """One clip as a recogniser heard it: what any number of texts can be held against."""

    def costs(self, texts: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """What each text, as units, costs a unit: small where it was heard. Finite for every text."""
        ...

    def stretch(self, units: Sequence[str], allowed: float) -> Stretch:
        """The worst stretch of a text when each unit may cost `allowed`."""
        ...


class Recogniser(Protocol):
    """Hears clips. `languages` it can follow, as in `Utterance.language`; none: any."""

    name: str
    languages: tuple[str, ...]
    least_excess: float  # of a stretch that is told: what right texts never have

    def read(self, text: str, language: str) -> Reading:
        """A text as units. Raises BadInput for one that it cannot read."""
        ...

    def hear(self, samples: NDArray[np.float32], sample_rate: int, language: str) -> Hearing:
        """Listen once to mono samples, shape (n,)."""
        ...
