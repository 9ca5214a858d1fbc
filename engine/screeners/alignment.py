"""Words found in CTC posteriors: a forced alignment that may leave words out and may hear what was never asked for.

Knows posteriors and phoneme numbers; knows no recogniser and no text. An ordinary forced alignment must put every
word somewhere, so one missing word drags its neighbours' scores down with it. Here the best path may skip a word at a
price that grows with its length, and between words a filler takes whatever is heard, at a price a frame; so
"missing", "said otherwise" and "added" compete fairly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLANK = 0
FLOOR = -6.0  # a phoneme that is not there costs this once, in nats
FILLER_PRICE = 3.0  # a frame of speech between words, beyond its own log posterior
SKIP_PRICE = 2.5  # of leaving a word out ...
SKIP_PRICE_A_PHONEME = 3.0  # ... and for each phoneme of it: together less than forcing two or more where none are
PRESENT = math.log(0.1)  # a phoneme whose best frame is below this was not heard
SWALLOWED = 0.55  # of the time that a word of its length takes in this clip: it was run together with its neighbour
INVENTED_PHONEMES = 2  # heard between words from which on they count as inserted speech


@dataclass(frozen=True, kw_only=True)
class AlignedWord:
    """One word, or (with `word` -1) an inserted stretch with the phonemes heard there. Frames are half-open; -1:
    nowhere.
    """

    word: int
    state: str
    start: int
    end: int
    log_posterior: float  # mean over phonemes of each one's best frame
    heard: tuple[int, ...] = ()
    spikes: tuple[int, ...] = ()  # the frames at which its phonemes were heard best, of those that were heard


@dataclass(frozen=True, kw_only=True)
class _Lattice:
    """CTC states in order: a filler before, between and after the words; a blank between the phonemes of a word."""

    symbol: NDArray[np.int64]  # of each state; BLANK for blanks and fillers
    word: NDArray[np.int64]  # of each state; -1 for fillers
    place: NDArray[np.int64]  # index of the phoneme within its word; -1 for blanks and fillers
    fillers: NDArray[np.int64]  # the states that are fillers, one more than words
    may_jump: NDArray[np.bool_]  # a state reachable from two before: a phoneme unlike the one before it
    skip: NDArray[np.float64]  # the price of each word


def align(log_posteriors: NDArray[np.float32], words: Sequence[Sequence[int]]) -> list[AlignedWord]:
    """The words of a text in order, and inserted stretches between them, in a clip.

    `log_posteriors` (frames, classes) are CTC log posteriors with class 0 the blank; `words` hold at least one
    phoneme class each.
    """
    if not words or not len(log_posteriors):
        return [_absent(index) for index in range(len(words))]
    lattice = _lattice(words)
    path, skipped = _best_path(log_posteriors, lattice)
    found = [
        _absent(index) if index in skipped else _present(index, log_posteriors, lattice, path, len(phonemes))
        for index, phonemes in enumerate(words)
    ]
    found = _swallowed(found, words)
    return _with_inserted(found, _filler_runs(path, lattice), log_posteriors, words)


def _lattice(words: Sequence[Sequence[int]]) -> _Lattice:
    states: list[tuple[int, int, int]] = [(BLANK, -1, -1)]
    for index, phonemes in enumerate(words):
        for place, phoneme in enumerate(phonemes):
            if place:
                states.append((BLANK, index, -1))
            states.append((phoneme, index, place))
        states.append((BLANK, -1, -1))
    symbol, word, place_of = (np.array(column) for column in zip(*states, strict=True))
    before = np.concatenate([[BLANK, BLANK], symbol[:-2]])
    return _Lattice(
        symbol=symbol,
        word=word,
        place=place_of,
        fillers=np.flatnonzero(word < 0),
        may_jump=(symbol != BLANK) & (before != BLANK) & (symbol != before),
        skip=np.array([SKIP_PRICE + SKIP_PRICE_A_PHONEME * len(phonemes) for phonemes in words]),
    )


def _best_path(log_posteriors: NDArray[np.float32], lattice: _Lattice) -> tuple[NDArray[np.int64], set[int]]:
    """Viterbi: the state of every frame, and the words that were left out."""
    scores = log_posteriors.astype(np.float64)
    fillers, count = lattice.fillers, len(lattice.symbol)
    filled = np.maximum(scores[:, BLANK], scores.max(axis=1) - FILLER_PRICE)
    paid = np.concatenate([[0.0], np.cumsum(lattice.skip)])
    steps = np.zeros((len(scores), count), np.int8)  # how many states back the previous frame was
    sources = np.zeros((len(scores), len(fillers)), np.int32)  # from which filler words were skipped to this one
    best = np.full(count, -np.inf)
    for frame in range(len(scores)):
        if frame == 0:
            moved = np.full(count, -np.inf)
            moved[:2] = 0.0
        else:
            one = np.concatenate([[-np.inf], best[:-1]])
            two = np.where(lattice.may_jump, np.concatenate([[-np.inf, -np.inf], best[:-2]]), -np.inf)
            options = np.stack([best, one, two])
            steps[frame] = options.argmax(axis=0)
            moved = options.max(axis=0)
        emitted = np.maximum(scores[frame, lattice.symbol], FLOOR)
        emitted[fillers] = filled[frame]
        best = moved + emitted
        best[fillers], sources[frame] = _skipping(best[fillers], paid)
    return _traced(best, steps, sources, lattice)


def _skipping(best: NDArray[np.float64], paid: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The fillers' scores when words may be left out: the best earlier filler less the prices between, and which it
    was.
    """
    reach = best + paid
    highest = np.maximum.accumulate(reach)
    is_new = reach >= highest
    source = np.maximum.accumulate(np.where(is_new, np.arange(len(best)), 0)).astype(np.int32)
    return highest - paid, source


def _traced(
    best: NDArray[np.float64], steps: NDArray[np.int8], sources: NDArray[np.int32], lattice: _Lattice
) -> tuple[NDArray[np.int64], set[int]]:
    filler_number = {int(state): number for number, state in enumerate(lattice.fillers)}
    state = len(best) - 1 if best[-1] >= best[-2] else len(best) - 2
    path = np.zeros(len(steps), np.int64)
    skipped: set[int] = set()
    for frame in range(len(steps) - 1, -1, -1):
        number = filler_number.get(state)
        if number is not None and sources[frame, number] != number:
            skipped.update(range(int(sources[frame, number]), number))
            state = int(lattice.fillers[sources[frame, number]])
        path[frame] = state
        state -= int(steps[frame, state])
    return path, skipped


def _absent(index: int) -> AlignedWord:
    return AlignedWord(word=index, state="dropped", start=-1, end=-1, log_posterior=-math.inf)


def _present(
    index: int, log_posteriors: NDArray[np.float32], lattice: _Lattice, path: NDArray[np.int64], phonemes: int
) -> AlignedWord:
    frames = np.flatnonzero(lattice.word[path] == index)
    best = np.full(phonemes, -np.inf)
    spikes = np.full(phonemes, -1)
    for frame in frames:
        place = int(lattice.place[path[frame]])
        heard = float(log_posteriors[frame, lattice.symbol[path[frame]]])
        if place >= 0 and heard > best[place]:
            best[place], spikes[place] = heard, frame
    present = best >= PRESENT
    return AlignedWord(
        word=index,
        state="ok" if 2 * int(present.sum()) > phonemes else "wrong",
        start=int(frames[0]),
        end=int(frames[-1]) + 1,
        log_posterior=float(np.maximum(best, -30.0).mean()),
        spikes=tuple(int(spike) for spike in spikes[present]),
    )


def _swallowed(found: list[AlignedWord], words: Sequence[Sequence[int]]) -> list[AlignedWord]:
    """Of the words that are not clearly there, those without room between their neighbours were run together with one.

    Room is counted from the last phoneme heard before to the first one heard after: where blanks belong is arbitrary.
    """
    whole = [word for word in found if word.state == "ok" and len(word.spikes) > 1]
    if not whole:
        return found
    pace = float(np.median([(word.spikes[-1] - word.spikes[0]) / (len(word.spikes) - 1) for word in whole]))
    result = list(found)
    for before, word, after in zip(found, found[1:], found[2:], strict=False):
        if word.state == "wrong" and before.state == after.state == "ok":
            room = after.spikes[0] - before.spikes[-1]
            if room < SWALLOWED * pace * (len(words[word.word]) + 1):
                result[word.word] = replace(word, state="merged")
    return result


def _filler_runs(path: NDArray[np.int64], lattice: _Lattice) -> list[tuple[int, int, int]]:
    """(number of the filler, first frame, end) of each stretch between words."""
    runs: list[tuple[int, int, int]] = []
    for number, state in enumerate(lattice.fillers):
        frames = np.flatnonzero(path == state)
        if len(frames):
            runs.append((number, int(frames[0]), int(frames[-1]) + 1))
    return runs


def _with_inserted(
    found: list[AlignedWord],
    runs: list[tuple[int, int, int]],
    log_posteriors: NDArray[np.float32],
    words: Sequence[Sequence[int]],
) -> list[AlignedWord]:
    """The words with what was heard between them: in the place of a lone dropped word it is that word, said
    otherwise.
    """
    result = list(found)
    inserted: list[tuple[int, AlignedWord]] = []
    for number, start, end in runs:
        heard = _spikes(log_posteriors[start:end])
        if (index := _replaces(result, number, heard, words)) is not None:
            result[index] = AlignedWord(
                word=index, state="wrong", start=start, end=end, log_posterior=FLOOR, heard=heard
            )
        elif len(heard) >= INVENTED_PHONEMES:
            extra = AlignedWord(word=-1, state="inserted", start=start, end=end, log_posterior=math.nan, heard=heard)
            inserted.append((number, extra))
    for number, extra in reversed(inserted):
        result.insert(number, extra)
    return result


def _replaces(
    found: list[AlignedWord], number: int, heard: tuple[int, ...], words: Sequence[Sequence[int]]
) -> int | None:
    """The dropped word beside filler `number` whose place `heard` may have taken: at least half as many phonemes, at
    most twice.
    """
    for index in (number - 1, number):
        is_lost = 0 <= index < len(words) and found[index].state == "dropped"
        if is_lost and 0.5 <= len(heard) / len(words[index]) <= 2.0:
            return index
    return None


def _spikes(log_posteriors: NDArray[np.float32]) -> tuple[int, ...]:
    """The phonemes heard, by greedy CTC decoding."""
    top = log_posteriors.argmax(axis=1)
    changed = np.concatenate([[True], top[1:] != top[:-1]])
    return tuple(int(symbol) for symbol in top[changed & (top != BLANK)])
