"""Shared audio between slices: a warning on one side of a split, an error across it."""

from __future__ import annotations

from engine.audit import overlaps
from engine.types import Severity
from tests.audit.fact_factory import fact, speechlike

RECORDING = speechlike(1, 12)


def piece(start: float, end: float) -> object:
    return RECORDING[int(start * 16000) : int(end * 16000)]


def test_slices_without_time_codes_are_found_by_sound() -> None:
    """Overlapping slices are found though nothing but their audio says so; both rows and the seconds are named."""
    rows = [fact("a", piece(0, 6)), fact("b"), fact("c", piece(4, 10))]
    (found,) = overlaps.check(rows)
    assert (found.check, found.severity, found.row, found.other) == ("overlap", Severity.WARNING, "c", "a")
    assert "2.0 s" in found.explanation


def test_slices_are_found_by_time_code() -> None:
    """Time codes tell of an overlap too short to be heard; slices that only touch share nothing."""
    spans = {"a": (0.0, 3.0), "b": (2.7, 5.0), "c": (5.0, 8.0), "d": (0.0, 3.0)}
    rows = [fact(i, recording="tape" if i != "d" else "other", start_sec=s, end_sec=e) for i, (s, e) in spans.items()]
    (found,) = overlaps.check(rows)
    assert (found.row, found.other) == ("b", "a")
    assert "0.3 s" in found.explanation
    assert "tape" in found.explanation


def test_across_a_split_it_is_an_error() -> None:
    """Shared audio on both sides of a given split lets training hear what is held out."""
    rows = [
        fact("a", piece(0, 6), split="train", recording="tape"),
        fact("c", piece(4, 10), split="test", recording="tape"),
    ]
    (found,) = overlaps.check(rows)
    assert (found.severity, found.row, found.other) == (Severity.ERROR, "c", "a")
    assert "train" in found.explanation
    assert "test" in found.explanation


def test_a_copy_is_an_overlap_only_across_a_split() -> None:
    """The same clip twice is told as a duplicate; on two sides of a split it is a leak as well."""
    copies = [fact("a", speechlike(2, 4)), fact("b", speechlike(2, 4))]
    assert list(overlaps.check(copies)) == []
    split = [fact("a", speechlike(2, 4), split="train"), fact("b", speechlike(2, 4), split="validation")]
    assert [f.severity for f in overlaps.check(split)] == [Severity.ERROR]


def test_a_divided_recording_is_a_warning() -> None:
    """A recording on both sides of a split is told once, though its rows share no audio."""
    rows = [fact(f"t{i}", split="train", group="book 1") for i in range(4)]
    rows += [fact(f"v{i}", split="validation", group="book 1") for i in range(2)]
    rows += [fact("u", split="validation", group="book 2")]
    (found,) = overlaps.check(rows)
    assert (found.severity, found.row) == (Severity.WARNING, "v0")
    assert "book 1" in found.explanation
    assert "4 in train" in found.explanation


def test_clusters_hold_whatever_shares_audio() -> None:
    """A chain of overlaps, a copy and a time code make one cluster each; rows alone are in none."""
    rows = [
        fact("a", piece(0, 5)),
        fact("b", piece(3, 8)),
        fact("c", piece(6, 11)),
        fact("d", speechlike(2, 4)),
        fact("e", speechlike(2, 4)),
        fact("f", recording="tape", start_sec=0.0, end_sec=3.0),
        fact("g", recording="tape", start_sec=2.0, end_sec=5.0),
        fact("h"),
    ]
    assert overlaps.clusters(rows) == [{"a", "b", "c"}, {"d", "e"}, {"f", "g"}]
