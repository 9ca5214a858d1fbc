"""What one pair's answers show, in numbers and in a sentence."""

from __future__ import annotations

from engine.statistics.binomial import clopper_pearson
from engine.statistics.preference import preference_summary


def test_a_summary_says_what_was_heard() -> None:
    """The page shows counts, interval and p-value in one sentence; ties are told and not counted as either."""
    summary = preference_summary(9, 1, 4)
    assert summary.share == 0.9
    assert summary.interval == clopper_pearson(9, 10)
    assert summary.sentence == (
        "A preferred 9 of 10 times (55% to 100% with 95% confidence), 4 ties: a preference (p = 0.021)."
    )
    assert "no preference shown (p = 0.344)" in preference_summary(7, 3, 0).sentence


def test_a_summary_of_little() -> None:
    """Only ties, or nothing at all, have no share."""
    assert preference_summary(0, 0, 3).sentence == "3 ties and no preference."
    assert preference_summary(0, 0, 0).sentence == "No answers yet."
    assert preference_summary(0, 0, 3).share is None
