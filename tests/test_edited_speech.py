"""Edits of the screening benchmark: what is planted is in the samples, and nothing else is."""

from __future__ import annotations

import random

import numpy as np
import pytest

from benchmarks import screening_texts
from benchmarks.aligned_words import HeardWord
from benchmarks.edited_speech import RATE, Edited, Said, cut, doubled, edited, merged
from benchmarks.screening_clips import edges
from benchmarks.screening_counts import Counts
from engine.types import WordScore

WORD = round(0.3 * RATE)


def said(text: str = "one two three four five") -> Said:
    """Words of 0.3 s, each at a level of its own, between silences of 0.2 s."""
    words = text.split()
    quiet = np.zeros(round(0.2 * RATE), np.float32)
    sound = [np.full(WORD, 0.1 * (n + 1), np.float32) for n in range(len(words))]
    edges = [len(quiet) + n * WORD for n in range(len(words) + 1)]
    samples = np.concatenate([quiet, *sound, quiet])
    return Said(voice="v", group="g", samples=samples, text=text, edges=tuple(edges))


def levels(copy: Edited) -> list[float]:
    """The level of each stretch that is as long as half a word."""
    steps = copy.samples[:: WORD // 8]
    found = [round(float(value), 1) for value in steps if value > 0.05]
    return [value for n, value in enumerate(found) if n == 0 or value != found[n - 1]]


def test_a_word_that_is_cut_is_gone_and_the_others_stay() -> None:
    """The clip is shorter by the word."""
    copy = cut(said(), 2, random.Random(0))
    assert levels(copy) == [0.1, 0.2, 0.4, 0.5]
    assert len(said().samples) - len(copy.samples) == pytest.approx(WORD, abs=200)


def test_a_doubled_word_comes_twice_at_the_place_that_is_told() -> None:
    """The fault's samples hold the word again."""
    copy = doubled(said(), 4, random.Random(1))
    (fault,) = copy.faults
    assert fault.words == (4,)
    assert copy.samples[(fault.start + fault.end) // 2] == pytest.approx(0.5)
    assert fault.end - fault.start == pytest.approx(WORD, abs=200)


@pytest.mark.parametrize("seed", range(4))
def test_merged_words_take_less_time(seed: int) -> None:
    """Squeezed or laid over each other: the pair is shorter, and the rest is as it was."""
    copy = merged(said(), 1, random.Random(seed))
    assert copy.faults[0].words == (1, 2)
    assert len(copy.samples) < len(said().samples) - 500
    assert levels(copy)[-2:] == [0.4, 0.5]


def test_every_kind_is_planted_and_a_clean_copy_kept() -> None:
    """One edit a copy; words of other sentences are added."""
    copies = edited(said(), [said(), said("six seven eight")], random.Random(0), 2)
    kinds = [copy.faults[0].kind if copy.faults else "clean" for copy in copies]
    assert sorted(set(kinds)) == ["clean", "dropped", "inserted", "merged", "repeated"]
    assert len(copies) == 9


def test_answers_are_counted_by_kind_and_place() -> None:
    """A fault that is told with its word is found; one told elsewhere is a false alarm."""
    copy = cut(said(), 2, random.Random(0))
    states = {2: "dropped", 4: "merged"}
    words = [
        WordScore(text=w, state=states.get(n, "ok"), start_sec=n, end_sec=n + 1, log_posterior=0.0)
        for n, w in enumerate(said().words)
    ]
    counts = Counts()
    counts.add(copy, words)
    assert counts.found["dropped"] == counts.right["dropped"] == 1
    assert counts.wrong["merged"] == 1
    assert sum(counts.cut.values()) == 2  # by its length and by its place
    assert {state for _, state in counts.cut} == {"dropped"}


def test_the_sentences_for_tuning_and_for_reporting_are_apart() -> None:
    """No sentence of a text is in both lists."""
    tuned, reported = (
        {s.strip() for text in texts for s in text.replace("?", ".").split(".")} - {""}
        for texts in (screening_texts.TUNING + screening_texts.EARLIER, screening_texts.REPORTED)
    )
    assert not tuned & reported


def test_a_short_word_lies_between_the_sounds_of_its_neighbours() -> None:
    """Both edges of a short word never fall into one pause, where cutting it would cut nothing."""
    samples = np.full(RATE, 0.5, np.float32)
    samples[round(0.5 * RATE) :][:400] = 0.0  # the pause that draws both edges
    words = [
        HeardWord(n, start, end, 0.0, 0.0) for n, (start, end) in enumerate([(0.2, 0.46), (0.52, 0.54), (0.6, 0.8)])
    ]
    found = edges(samples, words)
    assert found[1] == round(0.46 * RATE)
    assert found[2] == round(0.6 * RATE)
