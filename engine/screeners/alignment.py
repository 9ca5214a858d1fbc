"""What became of each word of a text: there, left out, run together with its neighbour, said again; and what was added.

Knows what an ear heard of a clip (`hearing`); knows no recogniser and no text. A word of which little is heard is
judged by the room for it: the sounding time between the last phoneme heard before and the first one heard after,
against what the words there would take at the clip's own pace. No room: it is missing, or was run together when some
of it or of its neighbours is left. Room: something was said in its place, and it counts as unclear. Where the clip can
be heard again, otherwise, all hearings together say which it was (`doubts`). The limits were set on edited speech
(`benchmarks/screening.py`), on other sentences, voices and seeds than are reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from engine.screeners import doubts, lattice
from engine.screeners.hearing import PRESENT, Hearing
from engine.screeners.lattice import FLOOR, Between, Visit

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOM = 0.6  # of a word's own time: with less it was not said at all, or not by itself
# Log odds of having been run together, for a word without room of which nothing is heard.
OVERLAID = {"always": -3.9, "room": 6.28, "lack": 2.66, "suffered": 0.4, "hurried": 6.62, "visited": 3.39}
# Two words that are there were run together when at least so many phonemes of both are missing and they take less than
# this share of their time.
SQUEEZED = ((2, 0.85), (1, 0.65), (0, 0.5))
INVENTED_PHONEMES = 2  # heard between words from which on they count as inserted speech


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
    again: Callable[[], Sequence[Hearing]] = tuple,
) -> list[AlignedWord]:
    """The words of a text in the order of time, with what was said again or added between them.

    `log_posteriors` (frames, classes) are CTC log posteriors with class 0 the blank; `words` hold at least one
    phoneme class each, `seconds` what each usually takes, `sounding` (frames,) where the clip is not silent. `again`
    gives other hearings of the same clip and words, as `doubts` wants them; it is asked only where a word is in doubt.
    """
    if not words or not len(log_posteriors):
        return [_absent(index) for index in range(len(words))]
    return _Judge(Hearing(log_posteriors, words, seconds, sounding), again).answers()


def _absent(index: int) -> AlignedWord:
    return AlignedWord(word=index, state="dropped", start=-1, end=-1, log_posterior=-math.inf)


class _Judge:
    """What a hearing says of each word."""

    def __init__(self, hearing: Hearing, again: Callable[[], Sequence[Hearing]]) -> None:
        self._hearing, self._again_heard = hearing, again

    def answers(self) -> list[AlignedWord]:
        """Every word once, and what was said again or added, in the order of time."""
        count = len(self._hearing.words)
        states = [self._state(word) for word in range(count)]
        pairs = sorted((self._tightness(word), word) for word in range(count - 1))
        for tightness, word in pairs:  # the tightest first: its words make the pairs beside it look tight as well
            if tightness < 1 and "merged" not in states[word : word + 2]:
                states[word] = states[word + 1] = "merged"
        consumed = {word for word, state in enumerate(states) if state in ("wrong", "merged")}
        return list(self._in_order(states, consumed))

    @cached_property
    def _others(self) -> Sequence[Hearing]:
        return self._again_heard()

    # ----------------------------------------------------------------------------------------------------- one word
    def _state(self, word: int) -> str:
        hearing = self._hearing
        if hearing.is_there(word):
            return "ok"
        if self._others:
            return doubts.settle(hearing, self._others, word)
        room = hearing.room(word)
        if room >= ROOM:
            return "wrong" if word in hearing.visits or hearing.is_filled(word) else "dropped"
        run_together = any(hearing.heard[word]) or self._overlaid(word, room) > 0
        return "merged" if run_together else "dropped"

    def _overlaid(self, word: int, room: float) -> float:
        """Log odds that a word of which nothing is heard was run together with its neighbours rather than left out.

        Then there is more room than for nothing, or less than the words beside it need, and these suffer as well. A
        logistic regression on edited clips of the sentences and voices for tuning.
        """
        beside = [each for each in (word - 1, word + 1) if each in self._hearing.visits]
        suffered = -sum(min(0.0, max(FLOOR, best)) for each in beside for best in self._hearing.visits[each].best)
        hurried = max((0.8 - self._hearing.hurry(each) for each in beside if self._hearing.is_there(each)), default=0.0)
        odds = OVERLAID["always"] + OVERLAID["visited"] * (word in self._hearing.visits)
        odds += OVERLAID["room"] * min(1.0, max(0.0, room - 0.3)) + OVERLAID["lack"] * min(1.0, max(0.0, -0.3 - room))
        return odds + OVERLAID["suffered"] * min(12.0, suffered) + OVERLAID["hurried"] * max(0.0, hurried)

    # ---------------------------------------------------------------------------------------------------- two words
    def _tightness(self, word: int) -> float:
        """The time that a word and the next one take, in units of what it may at least be for as much as is missing of
        them; below 1 they were run together. Infinite when one of them is not there.
        """
        hearing = self._hearing
        if not (hearing.pace and hearing.is_there(word) and hearing.is_there(word + 1)):
            return math.inf
        first = hearing.heard[word].index(True)
        last = max(n for n, heard in enumerate(hearing.heard[word + 1]) if heard)
        start, end = hearing.visits[word].spikes[first], hearing.visits[word + 1].spikes[last]
        if end <= start:  # said again in between
            return math.inf
        expected = hearing.expected((word, first), (word + 1, last))
        share = float(hearing.time[end] - hearing.time[start]) / hearing.pace / max(1e-3, expected)
        missing = hearing.missing(word) + hearing.missing(word + 1)
        return share / next(limit for least, limit in SQUEEZED if missing >= least)

    # ------------------------------------------------------------------------------------------------------- answer
    def _in_order(self, states: Sequence[str], consumed: set[int]) -> Iterator[AlignedWord]:
        told: set[int] = set()
        placed = -1  # the last word of the text that was told
        for run in self._hearing.runs:
            if isinstance(run, Between):
                extra = self._inserted(run, consumed)
                if extra is not None:
                    yield extra
                continue
            if self._hearing.visits[run.word] is run:
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
        for word in range(len(self._hearing.words)):
            if word not in told:
                yield self._answer(word, states[word])

    def _answer(self, word: int, state: str) -> AlignedWord:
        visit = self._hearing.visits.get(word)
        if visit is None or state == "dropped":
            return replace(_absent(word), state=state)
        return AlignedWord(
            word=word,
            state=state,
            start=visit.start,
            end=visit.end,
            log_posterior=float(np.mean(visit.best)),
            spikes=tuple(s for s, heard in zip(visit.spikes, self._hearing.heard[word], strict=True) if heard),
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
        heard = lattice.spikes(self._hearing.posteriors[run.start : run.end])
        if len(heard) < INVENTED_PHONEMES or self._replaces(run, len(heard), consumed):
            return None
        return AlignedWord(word=-1, state="inserted", start=run.start, end=run.end, log_posterior=math.nan, heard=heard)

    def _replaces(self, run: Between, heard: int, consumed: set[int]) -> bool:
        for word in (run.before - 1, run.before):
            if (
                word in consumed
                and word not in self._hearing.visits
                and 0.5 <= heard / len(self._hearing.words[word]) <= 2.0
            ):
                return True
        return False
