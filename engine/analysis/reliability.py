"""Who listens: the checks that each reviewer had, by the rule that was fixed with the test, applied as written.

Knows trials whose answer is known, and agreement. Leaves nobody out by itself: whoever shows results does, and shows
them with and without. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from engine.analysis.judgment import ANCHOR, Judgment
from engine.statistics import screening
from engine.statistics.agreement import MeasurementLevel, alpha
from engine.statistics.screening import Screened, ScreeningRule
from engine.types import CATCHES, Choice, Screening, TrialKind, TrialRole


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Every reviewer under the test's rule; agreement between them, None where it cannot be said; bias to a side."""

    reviewers: tuple[Screened, ...]
    alpha: float | None
    level: MeasurementLevel
    identical_on_a: int
    identical_on_b: int
    side_bias: float  # two-sided p-value over identical pairs, 1 without any

    @property
    def kept(self) -> frozenset[str]:
        return frozenset(one.reviewer for one in self.reviewers if one.kept)


def reliability(judgments: Sequence[Judgment], rule: Screening) -> Reliability:
    """What can be said of the reviewers of a test."""
    checks: dict[str, list[bool]] = {j.reviewer: [] for j in judgments}
    by_trial = {j.trial: j for j in judgments}
    for judgment in judgments:
        passed = _passed(judgment, by_trial, rule)
        if passed is not None:
            checks[judgment.reviewer].append(passed)
    same = [j.choice for j in judgments if j.role is TrialRole.IDENTICAL]
    on_a, on_b = same.count(Choice.A), same.count(Choice.B)
    level = _level(judgments)
    return Reliability(
        reviewers=tuple(screening.screen(checks, _rule(rule))),
        alpha=alpha(_units(judgments), level),
        level=level,
        identical_on_a=on_a,
        identical_on_b=on_b,
        side_bias=screening.side_bias(on_a, on_b),
    )


def _rule(rule: Screening) -> ScreeningRule:
    name = f"more than {rule.max_failed_share:.0%} of at least {rule.min_checks} checks failed"
    return ScreeningRule(name=name, most_failed=rule.max_failed_share, checks=rule.min_checks)


def _passed(judgment: Judgment, by_trial: Mapping[str, Judgment], rule: Screening) -> bool | None:
    """Whether a check was passed; None for what is none."""
    if judgment.kind is TrialKind.MULTI and judgment.role is TrialRole.MAIN:
        return _anchor_is_low(judgment)
    if judgment.role not in CATCHES:
        return None
    if judgment.role is TrialRole.IDENTICAL:
        if judgment.kind is TrialKind.CMOS:
            return abs(judgment.rating or 0.0) <= rule.cmos_within
        return judgment.choice is Choice.TIE
    if judgment.role is TrialRole.ANCHOR:
        return _degraded_is_worse(judgment, rule)
    before = by_trial.get(judgment.repeats or "")
    return None if before is None else _says_the_same(judgment, before, rule)


def _anchor_is_low(judgment: Judgment) -> bool | None:
    low = [value for name, value in judgment.rated if name.endswith(ANCHOR)]
    others = [value for name, value in judgment.rated if not name.endswith(ANCHOR)]
    return fmean(low) < fmean(others) if low and others else None


def _degraded_is_worse(judgment: Judgment, rule: Screening) -> bool | None:
    place = next((n for n, name in enumerate(judgment.names) if name.endswith(ANCHOR)), None)
    if place is None:
        return None
    if judgment.kind is TrialKind.CMOS:
        rating = judgment.rating or 0.0
        return rating < 0 if place == 1 else rating > 0
    if judgment.kind is TrialKind.PREFERENCE:
        return judgment.choice is (Choice.A if place == 1 else Choice.B)
    if judgment.kind is TrialKind.ABX:
        return is_right(judgment)
    if judgment.kind is TrialKind.GATE:
        return judgment.choice is Choice.FAIL
    return judgment.rating is not None and judgment.rating <= 3  # "fair" at most, on MOS


def is_right(judgment: Judgment) -> bool:
    """Whether X of an ABX trial was recognised."""
    a, _, x = judgment.names
    return judgment.choice is (Choice.A if x == a else Choice.B)


def _says_the_same(judgment: Judgment, before: Judgment, rule: Screening) -> bool:
    if judgment.kind is TrialKind.MULTI:
        earlier = dict(before.rated)
        gaps = [abs(value - earlier[name]) for name, value in judgment.rated if name in earlier]
        return bool(gaps) and fmean(gaps) <= rule.multi_within
    turned = judgment.names[:2] != before.names[:2]
    if judgment.kind is TrialKind.CMOS:
        again = (judgment.rating or 0.0) * (-1 if turned else 1)
        return abs(again - (before.rating or 0.0)) <= rule.cmos_within
    if judgment.kind is TrialKind.MOS:
        return abs((judgment.rating or 0.0) - (before.rating or 0.0)) <= rule.mos_within
    if judgment.kind is TrialKind.ABX:
        return is_right(judgment) == is_right(before)
    other = {Choice.A: Choice.B, Choice.B: Choice.A}
    said = judgment.choice
    return (other.get(said, said) if turned and said is not None else said) is before.choice


def _level(judgments: Iterable[Judgment]) -> MeasurementLevel:
    rated = any(j.kind in (TrialKind.MOS, TrialKind.CMOS, TrialKind.MULTI) for j in judgments)
    return MeasurementLevel.INTERVAL if rated else MeasurementLevel.NOMINAL


def _units(judgments: Iterable[Judgment]) -> list[list[float | str]]:
    """What several reviewers said of the same: a pair on a line (whichever was first), or a candidate on a line."""
    units: dict[tuple[str, ...], list[float | str]] = {}
    for j in judgments:
        if j.role is not TrialRole.MAIN:
            continue
        for name, value in j.rated:
            units.setdefault((j.line, name), []).append(value)
        if j.rated or len(j.names) < 2:
            continue
        low, high = sorted(j.names[:2])
        said: float | str | None = j.choice and {Choice.A: j.names[0], Choice.B: j.names[1]}.get(j.choice, "tie")
        if j.kind is TrialKind.CMOS and j.rating is not None:
            said = j.rating if j.names[1] == high else -j.rating
        if j.kind is TrialKind.ABX:
            said = "right" if is_right(j) else "wrong"
        if said is not None:
            units.setdefault((j.line, low, high), []).append(said)
    return list(units.values())
