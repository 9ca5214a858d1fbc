"""The best way through CTC posteriors when words may be left out, said again, or come between others unasked.

Knows posteriors and phoneme classes; knows no recogniser, no text and no verdict about a word. An ordinary forced
alignment must put every word somewhere, once, so one missing word drags its neighbours' scores down with it. Here the
best path may skip a word at a price that grows with its length, may go back and say words again at a price, and
between words a filler takes whatever is heard, at a price a frame; so "missing", "twice", "said otherwise" and "added"
compete fairly. (Viterbi over the CTC states of Graves et al. 2006 with two kinds of empty moves.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLANK = 0
FLOOR = -6.0  # a phoneme that is not there costs this once, in nats
FILLER_PRICE = 3.0  # a frame of speech between words, beyond its own log posterior
SKIP_PRICE = 2.5  # of leaving a word out ...
SKIP_PRICE_A_PHONEME = 3.0  # ... and for each phoneme of it: together less than forcing two or more where none are
REPEAT_PRICE = 2.0  # of going back ...
REPEAT_PRICE_A_WORD = 0.4  # ... and for each word that one goes back


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One time that the path went through a word. Frames are half-open."""

    word: int
    start: int
    end: int
    best: tuple[float, ...]  # the log posterior of each phoneme in its best frame
    spikes: tuple[int, ...]  # those frames


@dataclass(frozen=True, kw_only=True)
class Between:
    """A stretch that belongs to no word: before word `before` in the text, half-open frames."""

    before: int
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class _States:
    """CTC states in order: a filler before, between and after the words; a blank between the phonemes of a word."""

    symbol: NDArray[np.int64]  # of each state; BLANK for blanks and fillers
    word: NDArray[np.int64]  # of each state; -1 for fillers
    place: NDArray[np.int64]  # index of the phoneme within its word; -1 for blanks and fillers
    fillers: NDArray[np.int64]  # the states that are fillers, one more than words
    may_jump: NDArray[np.bool_]  # a state reachable from two before: a phoneme unlike the one before it
    paid: NDArray[np.float64]  # the prices of all words before each filler


def best_path(log_posteriors: NDArray[np.float32], words: Sequence[Sequence[int]]) -> list[Visit | Between]:
    """What is said, in the order of time: words of the text, each never, once or more often, and what lies between.

    `log_posteriors` (frames, classes) are CTC log posteriors with class 0 the blank; `words` hold at least one
    phoneme class each.
    """
    states = _states(words)
    path = _traced(*_scored(log_posteriors, states), states)
    return _runs(path, states, log_posteriors, words)


def spikes(log_posteriors: NDArray[np.float32]) -> tuple[int, ...]:
    """The phonemes heard, by greedy CTC decoding."""
    top = log_posteriors.argmax(axis=1)
    changed = np.concatenate([[True], top[1:] != top[:-1]])
    return tuple(int(symbol) for symbol in top[changed & (top != BLANK)])


def _states(words: Sequence[Sequence[int]]) -> _States:
    states: list[tuple[int, int, int]] = [(BLANK, -1, -1)]
    for index, phonemes in enumerate(words):
        for place, phoneme in enumerate(phonemes):
            if place:
                states.append((BLANK, index, -1))
            states.append((phoneme, index, place))
        states.append((BLANK, -1, -1))
    symbol, word, place_of = (np.array(column) for column in zip(*states, strict=True))
    before = np.concatenate([[BLANK, BLANK], symbol[:-2]])
    skip = [SKIP_PRICE + SKIP_PRICE_A_PHONEME * len(phonemes) for phonemes in words]
    return _States(
        symbol=symbol,
        word=word,
        place=place_of,
        fillers=np.flatnonzero(word < 0),
        may_jump=(symbol != BLANK) & (before != BLANK) & (symbol != before),
        paid=np.concatenate([[0.0], np.cumsum(skip)]),
    )


def _scored(
    log_posteriors: NDArray[np.float32], states: _States
) -> tuple[NDArray[np.float64], NDArray[np.int8], NDArray[np.int32], NDArray[np.int32]]:
    """Viterbi: the last scores, how many states back each frame came from, and the empty moves between fillers."""
    scores = log_posteriors.astype(np.float64)
    fillers, count = states.fillers, len(states.symbol)
    filled = np.maximum(scores[:, BLANK], scores.max(axis=1) - FILLER_PRICE)
    steps = np.zeros((len(scores), count), np.int8)
    skipped = np.zeros((len(scores), len(fillers)), np.int32)  # from which filler words were left out
    repeated = np.zeros((len(scores), len(fillers)), np.int32)  # from which filler one went back
    best = np.full(count, -np.inf)
    options = np.full((3, count), -np.inf)
    for frame in range(len(scores)):
        if frame == 0:
            best[:2] = 0.0
        else:
            options[0] = best
            options[1, 1:] = best[:-1]
            options[2, 2:] = np.where(states.may_jump[2:], best[:-2], -np.inf)
            steps[frame] = options.argmax(axis=0)
            best = options.max(axis=0)
        emitted = np.maximum(scores[frame, states.symbol], FLOOR)
        emitted[fillers] = filled[frame]
        best = best + emitted
        best[fillers], skipped[frame] = _skipping(best[fillers], states.paid)
        best[fillers], repeated[frame] = _repeating(best[fillers])
    return best, steps, skipped, repeated


def _skipping(best: NDArray[np.float64], paid: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The fillers' scores when words may be left out: the best earlier filler less the prices between, and which it
    was.
    """
    reach = best + paid
    highest = np.maximum.accumulate(reach)
    source = np.maximum.accumulate(np.where(reach >= highest, np.arange(len(best)), 0)).astype(np.int32)
    return highest - paid, source


def _repeating(best: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The fillers' scores when one may go back: the best later filler less the price of the way, and which it was."""
    own = np.arange(len(best))
    reach = best - REPEAT_PRICE_A_WORD * own
    highest = np.maximum.accumulate(reach[::-1])[::-1]
    # the last place at which the running maximum from the end was set
    source = len(best) - 1 - np.maximum.accumulate(np.where(reach[::-1] >= highest[::-1], own, 0))[::-1]
    back = highest + REPEAT_PRICE_A_WORD * own - REPEAT_PRICE
    goes_back = (back > best) & (source > own)
    return np.where(goes_back, back, best), np.where(goes_back, source, own).astype(np.int32)


def _traced(
    best: NDArray[np.float64],
    steps: NDArray[np.int8],
    skipped: NDArray[np.int32],
    repeated: NDArray[np.int32],
    states: _States,
) -> NDArray[np.int64]:
    """The state of every frame; of a frame with an empty move the state that it led to."""
    filler_number = {int(state): number for number, state in enumerate(states.fillers)}
    state = len(best) - 1 if best[-1] >= best[-2] else len(best) - 2
    path = np.zeros(len(steps), np.int64)
    for frame in range(len(steps) - 1, -1, -1):
        path[frame] = state
        number = filler_number.get(state)
        if number is not None:
            number = int(repeated[frame, number])
            state = int(states.fillers[skipped[frame, number]])
        state -= int(steps[frame, state])
    return path


def _runs(
    path: NDArray[np.int64], states: _States, log_posteriors: NDArray[np.float32], words: Sequence[Sequence[int]]
) -> list[Visit | Between]:
    """The path as stretches. A filler after a filler is one stretch: words were skipped or gone back over in it."""
    word_of = states.word[path]
    edges = np.flatnonzero(np.concatenate([[True], word_of[1:] != word_of[:-1], [True]]))
    found: list[Visit | Between] = []
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        word = int(word_of[start])
        if word < 0:
            number = int(np.searchsorted(states.fillers, path[end - 1]))
            found.append(Between(before=number, start=start, end=end))
        else:
            found.append(_visit(word, start, end, path, states, log_posteriors, len(words[word])))
    return found


def _visit(
    word: int,
    start: int,
    end: int,
    path: NDArray[np.int64],
    states: _States,
    log_posteriors: NDArray[np.float32],
    phonemes: int,
) -> Visit:
    best = np.full(phonemes, -np.inf)
    frames = np.full(phonemes, start)
    for frame in range(start, end):
        place = int(states.place[path[frame]])
        heard = float(log_posteriors[frame, states.symbol[path[frame]]])
        if place >= 0 and heard > best[place]:
            best[place], frames[place] = heard, frame
    return Visit(
        word=word,
        start=start,
        end=end,
        best=tuple(np.maximum(best, -30.0).tolist()),
        spikes=tuple(frames.tolist()),
    )
