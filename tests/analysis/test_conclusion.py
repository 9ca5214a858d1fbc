"""What judgments come down to: who leads, by how much, whether that is shown, and what is missing."""

from __future__ import annotations

import math

import pytest

from engine.analysis.conclusion import conclude
from engine.analysis.influence import turns
from engine.analysis.judgment import ANCHOR, Judgment
from engine.types import Choice, TrialKind, TrialRole
from tests.analysis.judgment_factory import judged, preferred


def sided(winner: str, loser: str, times: int, **more: str) -> list[Judgment]:
    return [preferred(winner, loser, first=n % 2 == 0, **more) for n in range(times)]  # type: ignore[arg-type]


def test_a_clear_preference_is_shown() -> None:
    """30 to 6: the leader, its log odds, an interval that leaves 0 out; catch trials are no evidence."""
    answers = sided("x", "y", 30) + sided("y", "x", 6)
    caught = [judged(("x", "x"), choice=Choice.B, role=TrialRole.IDENTICAL)] * 9
    found = conclude(answers + caught)
    assert (found.leader, found.runner_up, found.shown, found.judgments) == ("x", "y", True, 36)
    assert found.gap == pytest.approx(math.log(5))
    assert found.pairs["x", "y"].wins == 30
    assert found.more is None


def test_a_doubtful_one_says_how_many_more() -> None:
    """8 to 6: not shown, and as the error falls with the root, so many judgments are missing."""
    found = conclude(sided("x", "y", 8) + sided("y", "x", 6))
    gap, se = math.log(8 / 6), math.sqrt(1 / 8 + 1 / 6)
    assert not found.shown
    assert found.more == math.ceil(14 * (se * 1.959964 / gap) ** 2) - 14


def test_equals_promise_nothing() -> None:
    """No gap: no number of judgments is said to be enough."""
    found = conclude(sided("x", "y", 7) + sided("y", "x", 7))
    assert (found.shown, found.more) == (False, None)


def test_groups_that_never_met_have_a_problem_and_counts() -> None:
    """The counts of pairs are there, a ranking is not."""
    found = conclude(sided("a", "b", 3) + sided("c", "d", 3))
    assert found.fit is None
    assert "never compared" in found.problem
    assert set(found.pairs) == {("a", "b"), ("c", "d")}


def test_nothing_and_a_gate() -> None:
    """Without answers there is nothing, and a gate is decided elsewhere."""
    assert conclude([]).problem == "No judgments yet."
    assert "Gate page" in conclude([judged(("x",), kind=TrialKind.GATE, choice=Choice.PASS)]).problem


def test_cmos_is_the_second_against_the_first() -> None:
    """Above 0 the second is better, whichever candidate that was; means are turned to one order."""
    answers = [
        judged(("x", "y"), kind=TrialKind.CMOS, rating=2.0, reviewer="ann", line="l1"),
        judged(("y", "x"), kind=TrialKind.CMOS, rating=-1.0, reviewer="ben", line="l2"),
        judged(("x", "y"), kind=TrialKind.CMOS, rating=0.0, reviewer="ann", line="l2"),
    ]
    found = conclude(answers)
    assert found.cmos["x", "y"].mean == pytest.approx(-1.0)
    assert (found.pairs["x", "y"].losses, found.pairs["x", "y"].ties) == (2, 1)
    assert found.leader == "y"


def test_mos_by_the_same_reviewer_on_the_same_line() -> None:
    """A harsh and a mild reviewer who both put x one above y: the difference is certain, the means are not."""
    answers = [
        judged((name,), kind=TrialKind.MOS, rating=base + (name == "x") + wobble, reviewer=reviewer, line=line)
        for reviewer, base in (("ann", 1.0), ("ben", 3.0), ("cas", 2.0))
        for line, wobble in (("l1", 0.0), ("l2", 1.0 if reviewer == "ann" else 0.0), ("l3", 0.0))
        for name in ("x", "y")
    ]
    found = conclude(answers)
    assert (found.leader, found.gap, found.shown) == ("x", 1.0, True)
    assert found.ratings["x"].mean - found.ratings["y"].mean == pytest.approx(1.0)
    assert found.ratings["x"].clustered_by == ("rater", "line")


def test_sliders_keep_the_anchor_apart() -> None:
    """The degraded one has a mean and never leads."""
    shown = ("x", "y", f"base{ANCHOR}")
    answers = [
        judged(shown, kind=TrialKind.MULTI, ratings={"A": 80.0 + n, "B": 60.0, "C": 99.0}, line=f"l{n}", reviewer=who)
        for n in range(4)
        for who in ("ann", "ben")
    ]
    found = conclude(answers)
    assert found.leader == "x"
    assert found.ratings[f"base{ANCHOR}"].mean == 99.0


def test_abx_counts_what_was_recognised() -> None:
    """X is one of the two, and the answer names its side."""
    answers = [
        judged(("x", "y", "y"), kind=TrialKind.ABX, choice=Choice.B, labels=("A", "B", "X")),
        judged(("y", "x", "y"), kind=TrialKind.ABX, choice=Choice.B, labels=("A", "B", "X")),
    ]
    assert (conclude(answers).heard["x", "y"].wins, conclude(answers).heard["x", "y"].losses) == (1, 1)


def test_one_reviewer_who_makes_the_result_is_named() -> None:
    """Ben alone prefers y, so often that y leads: without Ben it is x; no single line turns it."""
    answers = [
        each
        for line in ("l1", "l2", "l3")
        for each in (
            sided("x", "y", 3, reviewer="ann", line=line)
            + sided("y", "x", 1, reviewer="ann", line=line)
            + sided("y", "x", 9, reviewer="ben", line=line)
            + sided("x", "y", 3, reviewer="cas", line=line)
        )
    ]
    whole = conclude(answers)
    assert whole.leader == "y"
    found = turns(answers, whole)
    assert [(turn.what, turn.name) for turn in found if turn.conclusion.leader == "x"] == [("reviewer", "ben")]
    assert next(turn for turn in found if turn.name == "ben").judgments == 27
