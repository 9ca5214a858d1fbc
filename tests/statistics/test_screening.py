"""Screening rules do what their text says, and not what a well-known implementation of the text does."""

from __future__ import annotations

import pytest

from engine.statistics.screening import CATCH_TRIALS, HIDDEN_REFERENCE, hidden_reference_checks, screen, side_bias


def test_the_fifteen_per_cent_rule_as_written() -> None:
    """Of ten items, none and one rated below 90 are kept, two are excluded: not everyone with any bad item."""
    ratings = [(f"{bad} bad", 80.0 if n < bad else 95.0) for bad in (0, 1, 2) for n in range(10)]
    found = screen(hidden_reference_checks(ratings), HIDDEN_REFERENCE)
    assert [(one.reviewer, one.kept, one.failed) for one in found] == [
        ("0 bad", True, 0),
        ("1 bad", True, 1),
        ("2 bad", False, 2),
    ]


@pytest.mark.parametrize(("failed", "items", "kept"), [(3, 20, True), (4, 20, False), (1, 6, False), (1, 7, True)])
def test_more_than_fifteen_per_cent_is_more(failed: int, items: int, kept: bool) -> None:
    """Exactly 15 % is allowed; 90 itself is not below 90."""
    ratings = [("r", 89.9 if n < failed else 90.0) for n in range(items)]
    assert screen(hidden_reference_checks(ratings), HIDDEN_REFERENCE)[0].kept is kept


def test_too_few_catch_trials_exclude_nobody() -> None:
    """One failed catch trial of one says nothing; two of four do."""
    found = screen(
        {"few": [False], "half": [True, True, False, False], "well": [True, True, True, False]}, CATCH_TRIALS
    )
    assert [one.kept for one in found] == [True, False, True]
    assert "4 needed" in found[0].explanation


def test_a_side_bias_is_a_preference_between_equals() -> None:
    """Nine times A of ten identical pairs is no accident; five of ten is nothing."""
    assert side_bias(9, 1) == pytest.approx(0.021484, abs=1e-6)
    assert side_bias(5, 5) == 1.0
