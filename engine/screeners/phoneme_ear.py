"""What ears that hear English phonemes share: a text's words as phoneme classes with durations, held against
posteriors.

Knows espeak-ng's reading of a text and how its phonemes become an ear's classes; knows no recogniser.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from engine.screeners import acoustics, alignment
from engine.screeners.hearing import Hearing
from engine.types import BadInput, WordScore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.backends.finch import phonemes

SECONDS_PER_STEP = 0.02


class PhonemeEar(ABC):
    """Hears English phonemes, 50 steps a second: an `Ear`."""

    name: str
    version: int
    languages: tuple[str, ...] = ("en",)
    telling: int  # phonemes
    strange: float
    at_home = False
    second: PhonemeEar | None = None  # asked as well where a word is in doubt

    @abstractmethod
    def recognise(self, samples: NDArray[np.float32], sample_rate: int) -> tuple[str, ...]:
        """The units heard, by greedy CTC decoding."""

    @abstractmethod
    def expected(self, text: str) -> tuple[str, ...]:
        """The units of `text` as espeak-ng reads it."""

    @abstractmethod
    def log_posteriors(self, samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
        """CTC log posteriors (steps of 20 ms, classes), class 0 the blank."""

    @abstractmethod
    def heard_as(self, symbol: str) -> tuple[int, ...]:
        """The classes that a phoneme of espeak-ng sounds like, in order; none for a pause or an unknown sound."""

    @abstractmethod
    def spelled(self, classes: tuple[int, ...]) -> str:
        """Classes as people read them."""

    def again(self, samples: NDArray[np.float32], sample_rate: int, text: str) -> list[Hearing]:
        """The clip heard otherwise, as `doubts` wants it; nothing when this ear has no other way."""
        return []

    def align(self, samples: NDArray[np.float32], sample_rate: int, text: str) -> tuple[WordScore, ...]:
        """Every word of `text` with its times and state. A word without phonemes of its own shares its neighbour's
        answer.
        """
        pronounced = self.pronounced(text)
        carriers, units, seconds = self._units(pronounced)
        posteriors = self.log_posteriors(samples, sample_rate)
        sounding = acoustics.active(samples, sample_rate)[::2]
        result: list[WordScore] = []

        def again() -> list[Hearing]:
            return self.again(samples, sample_rate, text)

        for found in alignment.align(posteriors, units, seconds=seconds, sounding=sounding, again=again):
            texts = (
                [pronounced.words[word].text for word in carriers[found.word]]
                if found.word >= 0
                else [f"/{self.spelled(found.heard)}/"]
            )
            nowhere = found.start < 0
            result += [
                WordScore(
                    text=each,
                    state=found.state,
                    start_sec=math.nan if nowhere else found.start * SECONDS_PER_STEP,
                    end_sec=math.nan if nowhere else found.end * SECONDS_PER_STEP,
                    log_posterior=found.log_posterior,
                )
                for each in texts
            ]
        return tuple(result)

    def hearing(self, samples: NDArray[np.float32], sample_rate: int, text: str) -> Hearing:
        """What this ear hears of the words of `text`, without regard to time."""
        return Hearing(self.log_posteriors(samples, sample_rate), self.units(text)[0])

    def classes(self, text: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The words of `text`, each with its phoneme classes; words that share phonemes are told together."""
        pronounced = self.pronounced(text)
        carriers, units, _ = self._units(pronounced)
        texts = (" ".join(pronounced.words[word].text for word in words) for words in carriers)
        return tuple((words, tuple(found)) for words, found in zip(texts, units, strict=True))

    def units(self, text: str) -> tuple[list[list[int]], list[list[float]]]:
        """The phoneme classes of each word of `text`, and the seconds that espeak-ng takes for each of them."""
        return self._units(self.pronounced(text))[1:]

    def pronounced(self, text: str) -> phonemes.Pronunciation:
        """How espeak-ng reads a text. Raises BadInput for one that it cannot read."""
        from engine.backends.finch import phonemes

        try:
            return phonemes.pronounce(text)
        except phonemes.UnpronounceableText as error:
            raise BadInput(f"The ear cannot read the text: {error}.") from error

    def _units(self, pronounced: phonemes.Pronunciation) -> tuple[list[list[int]], list[list[int]], list[list[float]]]:
        """Groups of words that share phonemes (mostly one word), the phoneme classes of each group, and the seconds
        that espeak-ng takes for each phoneme.
        """
        own, lasting = self._own(pronounced)
        carriers: list[list[int]] = []
        units: list[list[int]] = []
        seconds: list[list[float]] = []
        waiting: list[int] = []
        for word in range(len(pronounced.words)):
            if word in own:
                carriers.append([*waiting, word])
                units.append(own[word])
                seconds.append(lasting[word])
                waiting = []
            elif carriers:
                carriers[-1].append(word)
            else:
                waiting.append(word)
        return carriers, units, seconds

    def _own(self, pronounced: phonemes.Pronunciation) -> tuple[dict[int, list[int]], dict[int, list[float]]]:
        """Each word's phoneme classes and their seconds; an unknown sound lengthens the one before it."""
        own: dict[int, list[int]] = {}
        lasting: dict[int, list[float]] = {}
        ends = [*(phoneme.start_s for phoneme in pronounced.phonemes[1:]), pronounced.duration_s]
        for phoneme, end in zip(pronounced.phonemes, ends, strict=True):
            found = self.heard_as(phoneme.symbol)
            took = end - phoneme.start_s
            if found:
                own.setdefault(phoneme.word, []).extend(found)
                lasting.setdefault(phoneme.word, []).extend([took / len(found)] * len(found))
            elif not phoneme.is_pause and phoneme.word in lasting:
                lasting[phoneme.word][-1] += took
        return own, lasting
