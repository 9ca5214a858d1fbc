"""What became of each word of a text: there, left out, run together with its neighbour, said again; and what was added.

Knows the best path through the posteriors (`lattice`), how long each phoneme would usually last, and which frames have
sound in them; knows no recogniser and no text. A word of which little is heard is judged by the room for it: the
sounding time between the last phoneme heard before and the first one heard after, against what the words there would
take at the clip's own pace. No room: it is missing, or was run together when some of it or of its neighbours is left.
Room: something was said in its place, and it counts as unclear. The limits were set on edited speech
(`benchmarks/screening.py`), on other sentences, voices and seeds than are reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.screeners import lattice
from engine.screeners.lattice import FLOOR, Between, Visit

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRESENT = math.log(0.1)  # a phoneme whose best frame is below this was not heard
ROOM = 0.6  # of a word's own time: with less it was not said at all, or not by itself
# Log odds of having been run together, for a word without room of which nothing is heard.
OVERLAID = {"always": -3.9, "room": 6.28, "lack": 2.66, "suffered": 0.4, "hurried": 6.62, "visited": 3.39}
LONG_ENOUGH_SEC = 0.1  # between the first and last phoneme of a word, to tell whether it is hurried
# Two words that are there were run together when at least so many phonemes of both are missing and they take less than
# this share of their time.
SQUEEZED = ((2, 0.85), (1, 0.65), (0, 0.5))
INVENTED_PHONEMES = 2  # heard between words from which on they count as inserted speech
USUAL_SEC = 0.08  # a phoneme, where nothing better is known


@dataclass(frozen=True, kw_only=True)
class AlignedWord:
    """One word, or (with `word` -1) an inserted stretch with the phonemes heard there. Frames are half-open; -1:
    nowhere. A repeated word comes again after the words that were said before it was.
    """

    word: int
    state: str
    start: int
    end: int
    log_posterior: float  # mean over phonemes of each one's best frame
    heard: tuple[int, ...] = ()
    spikes: tuple[int, ...] = ()  # the frames at which its phonemes were heard best, of those that were heard


def align(
    log_posteriors: NDArray[np.float32],
    words: Sequence[Sequence[int]],
    *,
    seconds: Sequence[Sequence[float]] | None = None,
    sounding: NDArray[np.bool_] | None = None,
) -> list[AlignedWord]:
    """The words of a text in the order of time, with what was said again or added between them.

    `log_posteriors` (frames, classes) are CTC log posteriors with class 0 the blank; `words` hold at least one
    phoneme class each, `seconds` (any unit) what each usually takes, `sounding` (frames,) where the clip is not
    silent.
    """
    if not words or not len(log_posteriors):
        return [_absent(index) for index in range(len(words))]
    runs = lattice.best_path(log_posteriors, words)
    usual = seconds or [[USUAL_SEC] * len(phonemes) for phonemes in words]
    judge = _Judge(log_posteriors, words, usual, sounding, runs)
    return judge.answers()


def _absent(index: int) -> AlignedWord:
    return AlignedWord(word=index, state="dropped", start=-1, end=-1, log_posterior=-math.inf)


class _Judge:
    """The path of one clip, and what it says of each word."""

    def __init__(
        self,
        log_posteriors: NDArray[np.float32],
        words: Sequence[Sequence[int]],
        usual: Sequence[Sequence[float]],
        sounding: NDArray[np.bool_] | None,
        runs: Sequence[Visit | Between],
    ) -> None:
        self._posteriors, self._words, self._usual, self._runs = log_posteriors, words, usual, runs
        self._visits = _main_visits(runs)
        self._heard = [self._phonemes_heard(word) for word in range(len(words))]
        sound = np.ones(len(log_posteriors)) if sounding is None else np.zeros(len(log_posteriors))
        if sounding is not None:
            sound[: len(sounding)] = sounding[: len(sound)]
        self._time = np.concatenate([[0.0], np.cumsum(sound)])  # sounding frames before each
        self._pace = self._usual_pace()  # sounding frames for a unit of `usual`

    def answers(self) -> list[AlignedWord]:
        """Every word once, and what was said again or added, in the order of time."""
        states = [self._state(word) for word in range(len(self._words))]
        pairs = sorted((self._tightness(word), word) for word in range(len(self._words) - 1))
        for tightness, word in pairs:  # the tightest first: its words make the pairs beside it look tight as well
            if tightness < 1 and "merged" not in states[word : word + 2]:
                states[word] = states[word + 1] = "merged"
        consumed = {word for word, state in enumerate(states) if state in ("wrong", "merged")}
        return list(self._in_order(states, consumed))

    # ------------------------------------------------------------------------------------------------ what is there
    def _phonemes_heard(self, word: int) -> list[bool]:
        visit = self._visits.get(word)
        return [best >= PRESENT for best in visit.best] if visit else [False] * len(self._words[word])

    def _is_there(self, word: int) -> bool:
        return 2 * sum(self._heard[word]) > len(self._words[word])

    def _missing(self, word: int) -> int:
        """Phonemes of a word of the text that were not heard; none for a place outside it."""
        return len(self._heard[word]) - sum(self._heard[word]) if 0 <= word < len(self._words) else 0

    def _usual_pace(self) -> float:
        found: list[float] = []
        for word, after in pairwise(range(len(self._words))):
            if self._is_there(word) and self._is_there(after):
                took = self._time[self._visits[after].spikes[0]] - self._time[self._visits[word].spikes[0]]
                if took > 0:
                    found.append(float(took) / max(1e-3, sum(self._usual[word])))
        return float(np.median(found)) if found else 0.0

    # ----------------------------------------------------------------------------------------------------- one word
    def _state(self, word: int) -> str:
        if self._is_there(word):
            return "ok"
        room = self._room(word)
        if room >= ROOM:
            return "wrong" if word in self._visits or self._is_filled(word) else "dropped"
        run_together = any(self._heard[word]) or self._overlaid(word, room) > 0
        return "merged" if run_together else "dropped"

    def _overlaid(self, word: int, room: float) -> float:
        """Log odds that a word of which nothing is heard was run together with its neighbours rather than left out.

        Then there is more room than for nothing, or less than the words beside it need, and these suffer as well. A
        logistic regression on edited clips of the sentences and voices for tuning.
        """
        beside = [each for each in (word - 1, word + 1) if each in self._visits]
        suffered = -sum(min(0.0, max(FLOOR, best)) for each in beside for best in self._visits[each].best)
        hurried = max((0.8 - self._hurry(each) for each in beside if self._is_there(each)), default=0.0)
        odds = OVERLAID["always"] + OVERLAID["visited"] * (word in self._visits)
        odds += OVERLAID["room"] * min(1.0, max(0.0, room - 0.3)) + OVERLAID["lack"] * min(1.0, max(0.0, -0.3 - room))
        return odds + OVERLAID["suffered"] * min(12.0, suffered) + OVERLAID["hurried"] * max(0.0, hurried)

    def _hurry(self, word: int) -> float:
        """The share of its usual time that a word that is there takes from its first to its last phoneme heard."""
        places = [place for place, heard in enumerate(self._heard[word]) if heard]
        usual = sum(self._usual[word][places[0] : places[-1]])
        spikes = self._visits[word].spikes
        took = float(self._time[spikes[places[-1]]] - self._time[spikes[places[0]]])
        return took / self._pace / usual if self._pace and usual >= LONG_ENOUGH_SEC else 1.0

    def _room(self, word: int) -> float:
        """The room for a word in units of its own time: about 1 where it, or something like it, was said."""
        before, after = self._anchors(word, word)
        expected = self._expected(before, after)
        gone = [each for each in self._gap(before, after) if each != word and not any(self._heard[each])]
        expected -= sum(sum(self._usual[each]) for each in gone)
        if not self._pace:
            return float(self._is_filled(word))
        took = self._time[self._frame(after, len(self._posteriors) - 1)] - self._time[self._frame(before, 0)]
        own = max(1e-3, sum(self._usual[word]))
        return (float(took) / self._pace - (expected - own)) / own

    def _gap(self, before: tuple[int, int] | None, after: tuple[int, int] | None) -> range:
        """The words between two anchors."""
        return range((before or (-1, 0))[0] + 1, (after or (len(self._words), 0))[0])

    def _is_filled(self, word: int) -> bool:
        """Where a word should be, at least half as many phonemes are heard that belong to no word."""
        before, after = self._anchors(word, word)
        gap = self._gap(before, after)
        start, end = self._frame(before, -1), self._frame(after, len(self._posteriors))
        heard = sum(
            len(lattice.spikes(self._posteriors[run.start : run.end]))
            for run in self._runs
            if isinstance(run, Between) and start < run.start and run.end <= end
        )
        return 2 * heard >= sum(len(self._words[each]) for each in gap if each not in self._visits)

    def _anchors(self, first: int, last: int) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """The last phoneme that was heard in a word before `first`, and the first one in a word after `last`."""
        before = next((word for word in range(first - 1, -1, -1) if self._is_there(word)), None)
        after = next((word for word in range(last + 1, len(self._words)) if self._is_there(word)), None)
        return (
            None if before is None else (before, max(n for n, heard in enumerate(self._heard[before]) if heard)),
            None if after is None else (after, self._heard[after].index(True)),
        )

    def _frame(self, anchor: tuple[int, int] | None, otherwise: int) -> int:
        return otherwise if anchor is None else self._visits[anchor[0]].spikes[anchor[1]]

    def _expected(self, before: tuple[int, int] | None, after: tuple[int, int] | None) -> float:
        """What usually lies between two phonemes: from the beginning of one to the beginning of the other."""
        first, start = before or (0, 0)
        last, end = after or (len(self._words) - 1, len(self._words[-1]))
        if first == last:
            return sum(self._usual[first][start:end])
        inner = sum(sum(self._usual[word]) for word in range(first + 1, last))
        return sum(self._usual[first][start:]) + inner + sum(self._usual[last][:end])

    # ---------------------------------------------------------------------------------------------------- two words
    def _tightness(self, word: int) -> float:
        """The time that a word and the next one take, in units of what it may at least be for as much as is missing of
        them; below 1 they were run together. Infinite when one of them is not there.
        """
        if not (self._pace and self._is_there(word) and self._is_there(word + 1)):
            return math.inf
        first = self._heard[word].index(True)
        last = max(n for n, heard in enumerate(self._heard[word + 1]) if heard)
        start, end = self._visits[word].spikes[first], self._visits[word + 1].spikes[last]
        if end <= start:  # said again in between
            return math.inf
        expected = self._expected((word, first), (word + 1, last))
        share = float(self._time[end] - self._time[start]) / self._pace / max(1e-3, expected)
        missing = self._missing(word) + self._missing(word + 1)
        return share / next(limit for least, limit in SQUEEZED if missing >= least)

    # ------------------------------------------------------------------------------------------------------- answer
    def _in_order(self, states: Sequence[str], consumed: set[int]) -> Iterator[AlignedWord]:
        told: set[int] = set()
        placed = -1  # the last word of the text that was told
        for run in self._runs:
            if isinstance(run, Between):
                extra = self._inserted(run, consumed)
                if extra is not None:
                    yield extra
                continue
            if self._visits[run.word] is run:
                for word in range(placed + 1, run.word):
                    if word not in told:
                        told.add(word)
                        yield self._answer(word, states[word])
                placed = max(placed, run.word)
                told.add(run.word)
                yield self._answer(run.word, states[run.word])
            else:
                again = self._again(run)
                if again is not None:
                    yield again
        for word in range(len(self._words)):
            if word not in told:
                yield self._answer(word, states[word])

    def _answer(self, word: int, state: str) -> AlignedWord:
        visit = self._visits.get(word)
        if visit is None or state == "dropped":
            return replace(_absent(word), state=state)
        return AlignedWord(
            word=word,
            state=state,
            start=visit.start,
            end=visit.end,
            log_posterior=float(np.mean(visit.best)),
            spikes=tuple(s for s, heard in zip(visit.spikes, self._heard[word], strict=True) if heard),
        )

    def _again(self, visit: Visit) -> AlignedWord | None:
        """A word that was said before; None when hardly anything of it is heard."""
        if 2 * sum(best >= PRESENT for best in visit.best) <= len(visit.best):
            return None
        return AlignedWord(
            word=visit.word,
            state="repeated",
            start=visit.start,
            end=visit.end,
            log_posterior=float(np.mean(visit.best)),
            spikes=visit.spikes,
        )

    def _inserted(self, run: Between, consumed: set[int]) -> AlignedWord | None:
        """What was heard between words and is none of them; in the place of an unclear word it is that word."""
        heard = lattice.spikes(self._posteriors[run.start : run.end])
        if len(heard) < INVENTED_PHONEMES or self._replaces(run, len(heard), consumed):
            return None
        return AlignedWord(word=-1, state="inserted", start=run.start, end=run.end, log_posterior=math.nan, heard=heard)

    def _replaces(self, run: Between, heard: int, consumed: set[int]) -> bool:
        for word in (run.before - 1, run.before):
            if word in consumed and word not in self._visits and 0.5 <= heard / len(self._words[word]) <= 2.0:
                return True
        return False


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
