"""Screening rules do what their text says, and not what a well-known implementation of the text does."""

from __future__ import annotations

import pytest

from engine.statistics.screening import ScreeningRule, screen, side_bias

CHECKS = ScreeningRule(name="catch trials", most_failed=0.25, checks=4)
ITEMS = ScreeningRule(name="hidden reference, ITU-R BS.1534-3, 4.1.2", most_failed=0.15)


@pytest.mark.parametrize(("failed", "items", "kept"), [(3, 20, True), (4, 20, False), (1, 6, False), (1, 7, True)])
def test_more_than_fifteen_per_cent_is_more(failed: int, items: int, kept: bool) -> None:
    """Exactly 15 % is allowed: not everyone with any bad item is excluded."""
    assert screen({"r": [n >= failed for n in range(items)]}, ITEMS)[0].kept is kept


def test_too_few_catch_trials_exclude_nobody() -> None:
    """One failed catch trial of one says nothing; two of four do."""
    found = screen({"few": [False], "half": [True, True, False, False], "well": [True, True, True, False]}, CHECKS)
    assert [one.kept for one in found] == [True, False, True]
    assert "4 needed" in found[0].explanation


def test_a_side_bias_is_a_preference_between_equals() -> None:
    """Nine times A of ten identical pairs is no accident; five of ten is nothing."""
    assert side_bias(9, 1) == pytest.approx(0.021484, abs=1e-6)
    assert side_bias(5, 5) == 1.0
