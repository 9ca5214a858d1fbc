"""Whisper as a screener's recogniser: words or characters with their times, in any language that the model knows.

Knows how a transcript with times is laid over a text. Whisper writes what it expects to be said, so it may write down a
word that was swallowed and leave out one that was said twice; where a backend has an ear of its own, that one is asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.types import WordScore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.recogniser import Reading
    from engine.whisper import TimedUnit, Whisper


class WhisperEar:
    """A loaded Whisper listening in one language."""

    name = "Whisper"
    version = 1
    at_home = False
    telling = 2  # words; characters tell less, and there are more of them
    strange = 0.35

    def __init__(self, whisper: Whisper, language: str = "en") -> None:
        self._whisper, self._language = whisper, language
        self.languages = whisper.languages

    def recognise(self, samples: NDArray[np.float32], sample_rate: int) -> tuple[str, ...]:
        """The words heard, without case and punctuation; characters in languages without spaces."""
        text = self._whisper.transcribe(samples, sample_rate, self._language)
        return self._whisper.read(text, self._language).units

    def expected(self, text: str) -> tuple[str, ...]:
        """The words or characters of `text`."""
        return self._whisper.read(text, self._language).units

    def align(self, samples: NDArray[np.float32], sample_rate: int, text: str) -> tuple[WordScore, ...]:
        """Every word of `text` with its times, and what was heard between. A word is missing when none of its units
        was heard, unclear when some were heard as others.
        """
        reading = self._whisper.read(text, self._language)
        heard = self._whisper.timed(samples, sample_rate, self._language)
        pairs = matched(reading.units, [unit.text for unit in heard])
        answers = list(self._answers(reading, heard, pairs))
        return tuple(_with_repeated(answers))

    def _answers(
        self, reading: Reading, heard: Sequence[TimedUnit], pairs: Sequence[tuple[int | None, int | None]]
    ) -> Iterator[WordScore]:
        own: dict[int, list[tuple[int | None, int | None]]] = {}
        after: dict[int, list[TimedUnit]] = {}  # what was heard after a word and belongs to none; -1: before the first
        last = -1
        for asked, got in pairs:
            if asked is not None:
                last = reading.word_of[asked]
                own.setdefault(last, []).append((asked, got))
            elif got is not None:
                after.setdefault(last, []).append(heard[got])
        yield from map(_inserted, after.get(-1, []))
        for place, word in enumerate(reading.words):
            said = [heard[got] for _, got in own.get(place, []) if got is not None]
            exact = all(
                asked is not None and got is not None and reading.units[asked] == heard[got].text
                for asked, got in own.get(place, [])
            )
            state = "dropped" if not said else "ok" if exact else "wrong"
            yield WordScore(
                text=word,
                state=state,
                start_sec=said[0].start_sec if said else math.nan,
                end_sec=said[-1].end_sec if said else math.nan,
                log_posterior=math.nan,
            )
            yield from map(_inserted, after.get(place, []))


def _inserted(unit: TimedUnit) -> WordScore:
    return WordScore(
        text=unit.text, state="inserted", start_sec=unit.start_sec, end_sec=unit.end_sec, log_posterior=math.nan
    )


def _with_repeated(answers: Sequence[WordScore]) -> Iterator[WordScore]:
    """Added words that are those just said, in their order, are repeated; others stay inserted."""
    said: list[str] = []
    repeating = -1
    for answer in answers:
        plain = "".join(c for c in answer.text.casefold() if c.isalnum())
        if answer.state != "inserted":
            said.append(plain)
            repeating = -1
            yield answer
            continue
        follows = repeating >= 0 and repeating + 1 < len(said) and said[repeating + 1] == plain
        repeating = repeating + 1 if follows else _last(said, plain)
        yield answer if repeating < 0 else replace(answer, state="repeated")


def _last(said: Sequence[str], plain: str) -> int:
    """Where among the last few words one was said; -1 when it was not."""
    return next((n for n in range(len(said) - 1, max(-1, len(said) - 6), -1) if said[n] == plain), -1)


def matched(asked: Sequence[str], heard: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Units of a text beside those heard, in order, by the least edits (Levenshtein 1966); None: missing or added.

    Of what was said twice the first time counts, so both are gone through from their ends.
    """
    asked, heard = asked[::-1], heard[::-1]
    rows: list[list[float]] = [[float(m) for m in range(len(heard) + 1)]]
    for n, wanted in enumerate(asked):
        row = [n + 1.0]
        for m, got in enumerate(heard):
            # a changed unit costs a little more than half of one left out and one added, so that pairs stay likely
            row.append(min(rows[n][m] + 1.2 * (wanted != got), rows[n][m + 1] + 1, row[m] + 1))
        rows.append(row)
    found: list[tuple[int | None, int | None]] = []
    n, m = len(asked), len(heard)
    while n or m:
        if n and m and rows[n][m] == rows[n - 1][m - 1] + 1.2 * (asked[n - 1] != heard[m - 1]):
            n, m = n - 1, m - 1
            found.append((len(asked) - 1 - n, len(heard) - 1 - m))
        elif n and rows[n][m] == rows[n - 1][m] + 1:
            n -= 1
            found.append((len(asked) - 1 - n, None))
        else:
            m -= 1
            found.append((None, len(heard) - 1 - m))
    return found
