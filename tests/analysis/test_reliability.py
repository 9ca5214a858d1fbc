"""Checks of reviewers: each kind passes and fails as the rule's text says, and the share decides as written."""

from __future__ import annotations

import pytest

from engine.analysis.judgment import ANCHOR, Judgment
from engine.analysis.reliability import reliability
from engine.types import Choice, Screening, TrialKind, TrialRole
from tests.analysis.judgment_factory import judged, preferred

RULE = Screening(min_checks=1, max_failed_share=0.15)
PREFERENCE, CMOS, MOS, MULTI, ABX, GATE = (
    TrialKind.PREFERENCE, TrialKind.CMOS, TrialKind.MOS, TrialKind.MULTI, TrialKind.ABX, TrialKind.GATE,
)  # fmt: skip
BAD = f"x{ANCHOR}"


def check(names: tuple[str, ...], kind: TrialKind, role: TrialRole, **said: object) -> Judgment:
    return judged(names, kind=kind, role=role, **said)


def passed(*judgments: Judgment) -> bool:
    [one] = reliability(judgments, RULE).reviewers
    assert one.checks == 1
    return one.failed == 0


@pytest.mark.parametrize(
    ("names", "kind", "role", "right", "wrong"),
    [
        (("x", "x"), PREFERENCE, TrialRole.IDENTICAL, {"choice": Choice.TIE}, {"choice": Choice.A}),
        (("x", "x"), CMOS, TrialRole.IDENTICAL, {"rating": -1.0}, {"rating": 2.0}),
        (("x", BAD), PREFERENCE, TrialRole.ANCHOR, {"choice": Choice.A}, {"choice": Choice.TIE}),
        ((BAD, "x"), PREFERENCE, TrialRole.ANCHOR, {"choice": Choice.B}, {"choice": Choice.A}),
        (("x", BAD), CMOS, TrialRole.ANCHOR, {"rating": -2.0}, {"rating": 0.0}),
        ((BAD, "x"), CMOS, TrialRole.ANCHOR, {"rating": 1.0}, {"rating": -1.0}),
        ((BAD,), GATE, TrialRole.ANCHOR, {"choice": Choice.FAIL}, {"choice": Choice.PASS}),
        ((BAD,), MOS, TrialRole.ANCHOR, {"rating": 2.0}, {"rating": 5.0}),
        (("x", BAD, BAD), ABX, TrialRole.ANCHOR, {"choice": Choice.B}, {"choice": Choice.A}),
        (("x", BAD), MULTI, TrialRole.MAIN, {"ratings": {"A": 60, "B": 20}}, {"ratings": {"A": 60, "B": 61}}),
    ],
)
def test_each_check(
    names: tuple[str, ...], kind: TrialKind, role: TrialRole, right: dict[str, object], wrong: dict[str, object]
) -> None:
    """What passes and what fails it."""
    assert passed(check(names, kind, role, **right))
    assert not passed(check(names, kind, role, **wrong))


def test_a_repeat_is_the_same_answer_whichever_side() -> None:
    """The pair comes again turned round: preferring the same candidate passes, the same side fails."""
    before = preferred("x", "y")
    again = {"kind": PREFERENCE, "role": TrialRole.REPEAT, "repeats": before.trial}
    assert passed(before, judged(("y", "x"), choice=Choice.B, **again))
    assert not passed(before, judged(("y", "x"), choice=Choice.A, **again))
    rated = judged(("x", "y"), kind=CMOS, rating=2.0)
    turned = {"kind": CMOS, "role": TrialRole.REPEAT, "repeats": rated.trial}
    assert passed(rated, judged(("y", "x"), rating=-1.0, **turned))
    assert not passed(rated, judged(("y", "x"), rating=2.0, **turned))


def test_repeated_ratings_may_wander_a_little() -> None:
    """One step of MOS, twenty points of a slider."""
    mos = judged(("x",), kind=MOS, rating=3.0)
    again = {"role": TrialRole.REPEAT, "repeats": mos.trial, "kind": MOS}
    assert passed(mos, judged(("x",), rating=4.0, **again))
    assert not passed(mos, judged(("x",), rating=5.0, **again))
    multi = judged(("x", "y"), kind=MULTI, ratings={"A": 50.0, "B": 70.0})
    more = {"role": TrialRole.REPEAT, "repeats": multi.trial, "kind": MULTI}
    assert passed(multi, judged(("y", "x"), ratings={"A": 85.0, "B": 60.0}, **more))
    assert not passed(multi, judged(("y", "x"), ratings={"A": 30.0, "B": 80.0}, **more))


def test_the_share_decides_as_written() -> None:
    """Of ten checks one may fail and two may not; with fewer checks than the rule asks for nobody goes."""
    answers = [
        judged(("x", "x"), role=TrialRole.IDENTICAL, choice=Choice.A if n < bad else Choice.TIE, reviewer=f"{bad} bad")
        for bad in (0, 1, 2)
        for n in range(10)
    ]
    found = reliability(answers, RULE)
    assert [(one.reviewer, one.kept) for one in found.reviewers] == [("0 bad", True), ("1 bad", True), ("2 bad", False)]
    assert found.kept == {"0 bad", "1 bad"}
    assert reliability(answers, Screening(min_checks=11)).kept == {"0 bad", "1 bad", "2 bad"}


def test_a_side_that_is_preferred_among_equals() -> None:
    """Nine times A of nine identical pairs is a bias."""
    found = reliability([judged(("x", "x"), role=TrialRole.IDENTICAL, choice=Choice.A)] * 9, RULE)
    assert (found.identical_on_a, found.identical_on_b) == (9, 0)
    assert found.side_bias == pytest.approx(2 / 2**9)


def test_agreement_is_about_candidates_and_not_sides() -> None:
    """Two reviewers who prefer x on every line agree fully, whichever side it was on."""
    answers = [
        preferred("x" if line != "l3" else "y", "y" if line != "l3" else "x", reviewer=who, line=line, first=first)
        for who, first in (("ann", True), ("ben", False))
        for line in ("l1", "l2", "l3")
    ]
    assert reliability(answers, RULE).alpha == 1.0
    assert reliability(answers[:3], RULE).alpha is None
