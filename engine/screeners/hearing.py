"""What one ear hears of a text in one clip: which phonemes, when, and how much time there was for each word.

Knows the best path through the posteriors (`lattice`), how long each phoneme would usually last, and which frames have
sound in them. Measures alone: what they mean for a word is said elsewhere (`alignment`, `doubts`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.screeners import lattice
from engine.screeners.lattice import FLOOR, Between, Visit

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRESENT = math.log(0.1)  # a phoneme whose best frame is below this was not heard
LONG_ENOUGH_SEC = 0.1  # between the first and last phoneme of a word, to tell whether it is hurried
USUAL_SEC = 0.08  # a phoneme, where nothing better is known
Anchor = tuple[int, int]  # a word and the place of a phoneme in it


class Hearing:
    """The path of one clip through the words of its text. Words and phonemes are named by their places."""

    def __init__(
        self,
        log_posteriors: NDArray[np.float32],
        words: Sequence[Sequence[int]],
        usual: Sequence[Sequence[float]] | None = None,
        sounding: NDArray[np.bool_] | None = None,
    ) -> None:
        """`log_posteriors` (frames, classes) are CTC log posteriors with class 0 the blank; `words` hold at least one
        phoneme class each, `usual` (any unit) what each usually takes, `sounding` (frames,) where the clip is not
        silent.
        """
        self.posteriors, self.words = log_posteriors, words
        self.usual = usual or [[USUAL_SEC] * len(phonemes) for phonemes in words]
        self.runs = lattice.best_path(log_posteriors, words)
        self.visits = _main_visits(self.runs)
        self.heard = [self._phonemes_heard(word) for word in range(len(words))]
        sound = np.ones(len(log_posteriors)) if sounding is None else np.zeros(len(log_posteriors))
        if sounding is not None:
            sound[: len(sounding)] = sounding[: len(sound)]
        self.time = np.concatenate([[0.0], np.cumsum(sound)])  # sounding frames before each
        self.pace = self._usual_pace()  # sounding frames for a unit of `usual`

    def is_there(self, word: int) -> bool:
        return 2 * sum(self.heard[word]) > len(self.words[word])

    def missing(self, word: int) -> int:
        """Phonemes of a word of the text that were not heard; none for a place outside it."""
        return len(self.heard[word]) - sum(self.heard[word]) if 0 <= word < len(self.words) else 0

    def hurry(self, word: int) -> float:
        """The share of its usual time that a word that is there takes from its first to its last phoneme heard."""
        took, usual = self.took(word)
        return took / usual if usual >= LONG_ENOUGH_SEC else 1.0

    def took(self, word: int) -> tuple[float, float]:
        """What a word that is there takes from its first to its last phoneme heard, and what it usually takes, both in
        units of `usual` at the clip's pace; the same where the pace is not known.
        """
        places = [place for place, heard in enumerate(self.heard[word]) if heard]
        usual = sum(self.usual[word][places[0] : places[-1]])
        spikes = self.visits[word].spikes
        took = float(self.time[spikes[places[-1]]] - self.time[spikes[places[0]]])
        return took / self.pace if self.pace else usual, usual

    def room(self, word: int) -> float:
        """The room for a word in units of its own time: about 1 where it, or something like it, was said."""
        before, after = self._anchors(word, word)
        expected = self.expected(before, after)
        gone = [each for each in self.gap(before, after) if each != word and not any(self.heard[each])]
        expected -= sum(sum(self.usual[each]) for each in gone)
        if not self.pace:
            return float(self.is_filled(word))
        took = self.time[self._frame(after, len(self.posteriors) - 1)] - self.time[self._frame(before, 0)]
        own = max(1e-3, sum(self.usual[word]))
        return (float(took) / self.pace - (expected - own)) / own

    def gap(self, before: Anchor | None, after: Anchor | None) -> range:
        """The words between two anchors."""
        return range((before or (-1, 0))[0] + 1, (after or (len(self.words), 0))[0])

    def is_filled(self, word: int) -> bool:
        """Where a word should be, at least half as many phonemes are heard that belong to no word."""
        before, after = self._anchors(word, word)
        gap = self.gap(before, after)
        start, end = self._frame(before, -1), self._frame(after, len(self.posteriors))
        heard = sum(
            len(lattice.spikes(self.posteriors[run.start : run.end]))
            for run in self.runs
            if isinstance(run, Between) and start < run.start and run.end <= end
        )
        return 2 * heard >= sum(len(self.words[each]) for each in gap if each not in self.visits)

    def lack(self, word: int, reach: int) -> float:
        """Seconds (units of `usual`) by which there is more time than the words around need without this one; counted
        from the `reach`-th word before that is there to the `reach`-th after. Beyond them, to the clip's ends.
        """
        before = _nth((n for n in range(word - 1, -1, -1) if self.is_there(n)), reach)
        after = _nth((n for n in range(word + 1, len(self.words)) if self.is_there(n)), reach)
        first = None if before is None else (before, self.heard[before].index(True))
        last = None if after is None else (after, max(n for n, heard in enumerate(self.heard[after]) if heard))
        took = self.time[self._frame(last, len(self.posteriors) - 1)] - self.time[self._frame(first, 0)]
        own = sum(self.usual[word])
        return float(took) / self.pace - (self.expected(first, last) - own) if self.pace else 0.0

    def best(self, word: int) -> tuple[float, ...]:
        """The log posterior of each phoneme of a word in its best frame, not below `FLOOR`."""
        visit = self.visits.get(word)
        return tuple(max(FLOOR, each) for each in visit.best) if visit else (FLOOR,) * len(self.words[word])

    def _anchors(self, first: int, last: int) -> tuple[Anchor | None, Anchor | None]:
        """The last phoneme that was heard in a word before `first`, and the first one in a word after `last`."""
        before = next((word for word in range(first - 1, -1, -1) if self.is_there(word)), None)
        after = next((word for word in range(last + 1, len(self.words)) if self.is_there(word)), None)
        return (
            None if before is None else (before, max(n for n, heard in enumerate(self.heard[before]) if heard)),
            None if after is None else (after, self.heard[after].index(True)),
        )

    def _frame(self, anchor: Anchor | None, otherwise: int) -> int:
        return otherwise if anchor is None else self.visits[anchor[0]].spikes[anchor[1]]

    def expected(self, before: Anchor | None, after: Anchor | None) -> float:
        """What usually lies between two phonemes: from the beginning of one to the beginning of the other."""
        first, start = before or (0, 0)
        last, end = after or (len(self.words) - 1, len(self.words[-1]))
        if first == last:
            return sum(self.usual[first][start:end])
        inner = sum(sum(self.usual[word]) for word in range(first + 1, last))
        return sum(self.usual[first][start:]) + inner + sum(self.usual[last][:end])

    def _phonemes_heard(self, word: int) -> list[bool]:
        visit = self.visits.get(word)
        return [best >= PRESENT for best in visit.best] if visit else [False] * len(self.words[word])

    def _usual_pace(self) -> float:
        found: list[float] = []
        for word, after in pairwise(range(len(self.words))):
            if self.is_there(word) and self.is_there(after):
                took = self.time[self.visits[after].spikes[0]] - self.time[self.visits[word].spikes[0]]
                if took > 0:
                    found.append(float(took) / max(1e-3, sum(self.usual[word])))
        return float(np.median(found)) if found else 0.0


def _main_visits(runs: Sequence[Visit | Between]) -> dict[int, Visit]:
    """For each word that was said the time that counts: the first one, or a better one when the path began there anew
    after a stumble. Later words then count from there on as well, so that they stay in the order of time.
    """
    visits = [run for run in runs if isinstance(run, Visit)]
    found: dict[int, Visit] = {}
    for place, visit in enumerate(visits):
        known = found.get(visit.word)
        if known is None:
            if all(visit.word > word or found[word].start > visit.end for word in found):
                found[visit.word] = visit
        elif _share(visit) > 0.5 >= _share(known):
            later = {word for word in found if word > visit.word}
            if later <= {each.word for each in visits[place:]}:
                found = {word: other for word, other in found.items() if word < visit.word}
                found[visit.word] = visit
    return found


def _share(visit: Visit) -> float:
    return sum(best >= PRESENT for best in visit.best) / len(visit.best)


def _nth(found: Iterator[int], count: int) -> int | None:
    return next(islice(found, count - 1, None), None)
