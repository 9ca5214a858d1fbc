"""A transcript with times laid over a text: what is missing, said again, added, or written down as something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import screeners, whisper
from engine.screeners.whisper_ear import WhisperEar, matched
from engine.types import WordScore
from engine.whisper import TimedUnit, Whisper
from tests.test_whisper import noise, tiny


class Written(Whisper):
    """A Whisper that hears what the test gives it, two words a second."""

    def __init__(self, heard: str) -> None:
        self.languages = ()
        self._heard = heard

    def timed(self, samples: object, sample_rate: int, language: str = "") -> tuple[TimedUnit, ...]:
        units = whisper.units_of(self._heard, language)
        return tuple(TimedUnit(unit, n / 2, (n + 1) / 2) for n, unit in enumerate(units))


def heard(said: str, text: str, language: str = "en") -> list[tuple[str, str]]:
    ear = WhisperEar(Written(said), language)
    return [(w.text, w.state) for w in ear.align(np.zeros(16000, np.float32), 16000, text)]


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("the cat sat on the mat", []),
        ("the sat on the mat", [("cat", "dropped")]),
        ("the cat cat sat on the mat", [("cat", "repeated")]),
        ("the cat sat the cat sat on the mat", [("the", "repeated"), ("cat", "repeated"), ("sat", "repeated")]),
        ("the cat sat down on the mat", [("down", "inserted")]),
        ("the bat sat on the mat", [("cat", "wrong")]),
        ("the cat sat on the mat and so on", [("and", "inserted"), ("so", "inserted"), ("on", "inserted")]),
        ("", [(w, "dropped") for w in ("The", "cat", "sat", "on", "the", "mat.")]),
    ],
)
def test_each_fault_is_told_by_its_kind(said: str, wrong: list[tuple[str, str]]) -> None:
    """Every word of the text has one answer, and what came beside it another."""
    found = heard(said, "The cat sat on the mat.")
    told = [(text, state) for text, state in found if state != "ok"]
    if said.endswith("so on"):
        assert [state for _, state in told[:2]] == ["inserted", "inserted"]
    else:
        assert told == wrong
    assert [text for text, state in found if state not in ("repeated", "inserted")] == "The cat sat on the mat.".split()


def test_languages_without_spaces_are_heard_by_characters() -> None:
    """A missing character makes its run of text unclear, and nothing else."""
    assert heard("今天天气很好", "今天天气很好。", "zh") == [("今天天气很好。", "ok")]
    assert heard("今天天气好", "今天天气很好。", "zh") == [("今天天气很好。", "wrong")]


def test_the_least_edits_pair_what_was_heard_with_the_text() -> None:
    """Missing and added units stand alone, a changed one beside what it became."""
    assert matched("abc", "ac") == [(0, 0), (1, None), (2, 1)]
    assert matched("abc", "axc") == [(0, 0), (1, 1), (2, 2)]
    assert matched("ab", "aab") in ([(0, 0), (None, 1), (1, 2)], [(None, 0), (0, 1), (1, 2)])


def test_a_model_of_the_real_class_gives_words_with_times(tmp_path: Path) -> None:
    """Units lie in the clip, in order, and are those of the transcript; the ear judges a text by them."""
    model = whisper.load(tiny(tmp_path), device="cpu")
    units = model.timed(noise(2), 16000, "en")
    assert units
    starts = [unit.start_sec for unit in units]
    assert starts == sorted(starts)
    assert all(0 <= unit.start_sec <= unit.end_sec <= 2 for unit in units)
    found = WhisperEar(model, "en").align(noise(2), 16000, "good day")
    assert {w.text for w in found if isinstance(w, WordScore)} >= {"good", "day"}


def test_each_backend_and_language_has_its_recognisers(tmp_path: Path) -> None:
    """Its own ear first, then the one for real speech, then Whisper; for other languages without Whisper there is
    none.
    """
    model = whisper.load(tiny(tmp_path), device="cpu")
    asked = [("finch", "en", 1), ("finch", "zh", 1), ("voxcpm", "en", 1), ("voxcpm", "en", 0), ("voxcpm", "zh", 0)]
    named = [[ear.name for ear in screeners.ears(*key[:2], model if key[2] else None)] for key in asked]
    own = "the built-in ear"
    assert named == [[own, "hama", "Whisper"], ["Whisper"], ["hama", "Whisper", own], ["hama", own], []]
