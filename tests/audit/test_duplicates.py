"""Audio that is there twice is named at the later row; a second take is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.audit import duplicates
from engine.audit.row import RowFacts
from engine.types import Action, Severity, Utterance
from tests.audit.fact_factory import fact, speechlike


def test_equal_samples_are_an_error_at_the_later_row() -> None:
    """The first row of equal audio stays, the later one is proposed to go, naming the first."""
    rows = [fact("a"), fact("b", speechlike(1, 3)), fact("c", speechlike(1, 3))]
    (found,) = duplicates.check(rows)
    assert (found.check, found.severity, found.row, found.other) == ("duplicate", Severity.ERROR, "c", "b")
    assert found.action is Action.DROP
    assert "b" in found.explanation
    assert "another text" in found.explanation


def test_one_file_named_twice_is_an_error() -> None:
    """Two rows with one file teach one sound under two texts."""
    rows = [
        fact("a", speechlike(1, 3), audio_path=Path("x.wav")),
        fact("b", speechlike(1, 3), audio_path=Path("x.wav")),
    ]
    (found,) = duplicates.check(rows)
    assert (found.severity, found.row, found.other) == (Severity.ERROR, "b", "a")
    assert "same audio file" in found.explanation


def test_an_altered_copy_is_a_warning() -> None:
    """A copy at another level is no longer equal, and still the same clip."""
    samples = speechlike(2, 4)
    rows = [fact("a", samples), fact("b"), fact("c", (samples * 0.4).astype(np.float32)[500:])]
    (found,) = duplicates.check(rows)
    assert (found.severity, found.row, found.other) == (Severity.WARNING, "c", "a")


def test_a_second_take_is_no_duplicate() -> None:
    """The same text spoken again is other audio."""
    rows = [fact("a", speechlike(3, 3), text="Once more."), fact("b", speechlike(4, 3), text="Once more.")]
    assert list(duplicates.check(rows)) == []


def test_slices_that_only_overlap_are_no_duplicates() -> None:
    """Half of a clip in another is an overlap."""
    recording = speechlike(5, 9)
    rows = [fact("a", recording[: 6 * 16000]), fact("b", recording[3 * 16000 :])]
    assert list(duplicates.check(rows)) == []


def test_rows_without_audio_are_passed_over() -> None:
    """A missing file is told elsewhere; two of them are not alike."""
    lost = [RowFacts(utterance=Utterance(id=i, audio_path=Path("x.wav"), text=""), fault="missing") for i in "ab"]
    assert list(duplicates.check([*lost, fact("c")])) == []
