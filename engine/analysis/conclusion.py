"""What a set of judgments says of its candidates: strengths or means, who leads, and whether that is shown.

Knows judgments and the statistics that fit their kind. Knows no store and no page; what an answer is worth was settled
before. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.analysis.judgment import ANCHOR, Judgment, comparisons, main_ones
from engine.analysis.reliability import is_right
from engine.statistics import means, paired_model, power
from engine.statistics.means import MeanEstimate
from engine.statistics.newton import NotConverged
from engine.statistics.paired_model import PairedFit
from engine.statistics.preference import PreferenceSummary, preference_summary
from engine.types import BadInput, Choice, TrialKind


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """`leader` is ahead of `runner_up` by `gap`; `shown` when its 95 % interval leaves 0 out. `problem` says why there
    is no number. `more`: judgments until the interval would leave 0 out if the gap stays; None when it has or cannot.
    """

    judgments: int
    fit: PairedFit | None = None
    ratings: Mapping[str, MeanEstimate] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str], PreferenceSummary] = field(default_factory=dict)  # wins of the first
    cmos: Mapping[tuple[str, str], MeanEstimate] = field(default_factory=dict)  # the first against the second
    heard: Mapping[tuple[str, str], PreferenceSummary] = field(default_factory=dict)  # ABX: X recognised
    leader: str = ""
    runner_up: str = ""
    gap: float = 0.0
    low: float = 0.0
    high: float = 0.0
    shown: bool = False
    more: int | None = None
    problem: str = ""

    @property
    def key(self) -> tuple[str, bool]:
        """What it comes down to."""
        return self.leader, self.shown


def conclude(judgments: Sequence[Judgment]) -> Conclusion:
    """Everything that the main answers say."""
    own = main_ones(judgments)
    if not own:
        return Conclusion(judgments=0, problem="No judgments yet.")
    kind = own[0].kind
    if kind in (TrialKind.PREFERENCE, TrialKind.CMOS):
        return _of_pairs(own)
    if kind in (TrialKind.MOS, TrialKind.MULTI):
        return _of_ratings(own)
    if kind is TrialKind.ABX:
        return Conclusion(judgments=len(own), heard=_heard(own))
    return Conclusion(judgments=len(own), problem="A gate's answers are decided on the Gate page.")


# --------------------------------------------------------------------------------------------------------------- pairs
def _of_pairs(own: Sequence[Judgment]) -> Conclusion:
    compared = comparisons(own)
    counts = _counted(own)
    cmos = _cmos(own)
    try:
        fit = paired_model.fit(compared, model="davidson")
    except (BadInput, NotConverged) as error:
        return Conclusion(judgments=len(own), pairs=counts, cmos=cmos, problem=str(error))
    leader, runner_up, *_ = fit.ranking()
    gap = fit.difference(leader, runner_up)
    shown = gap.interval.low > 0
    z = (gap.interval.high - gap.estimate) / gap.se if gap.se > 0 else 2.0
    more = None
    if not shown and gap.estimate > 0:
        more = _capped(power.more_for_error(len(own), gap.se, gap.estimate / z))
    return Conclusion(
        judgments=len(own),
        fit=fit,
        pairs=counts,
        cmos=cmos,
        leader=leader,
        runner_up=runner_up,
        gap=gap.estimate,
        low=gap.interval.low,
        high=gap.interval.high,
        shown=shown,
        more=more,
    )


def _counted(own: Sequence[Judgment]) -> dict[tuple[str, str], PreferenceSummary]:
    counts: dict[tuple[str, str], list[int]] = {}
    for c in comparisons(own):
        cell = counts.setdefault((min(c.a, c.b), max(c.a, c.b)), [0, 0, 0])
        won = c.a if c.choice is Choice.A else c.b
        cell[2 if c.choice is Choice.TIE else int(won != min(c.a, c.b))] += 1
    return {pair: preference_summary(*cell) for pair, cell in sorted(counts.items())}


def _cmos(own: Sequence[Judgment]) -> dict[tuple[str, str], MeanEstimate]:
    by_pair: dict[tuple[str, str], list[tuple[float, Judgment]]] = {}
    for j in own:
        if j.kind is TrialKind.CMOS and j.rating is not None:
            first, second = sorted(j.names[:2])
            by_pair.setdefault((first, second), []).append((j.rating if j.names[1] == first else -j.rating, j))
    return {pair: _mean([v for v, _ in found], [j for _, j in found]) for pair, found in sorted(by_pair.items())}


def _heard(own: Sequence[Judgment]) -> dict[tuple[str, str], PreferenceSummary]:
    by_pair: dict[tuple[str, str], list[bool]] = {}
    for j in own:
        first, second = sorted(j.names[:2])
        by_pair.setdefault((first, second), []).append(is_right(j))
    return {pair: preference_summary(sum(r), len(r) - sum(r), 0) for pair, r in sorted(by_pair.items())}


# ------------------------------------------------------------------------------------------------------------- ratings
def _of_ratings(own: Sequence[Judgment]) -> Conclusion:
    rated: dict[str, list[tuple[float, Judgment]]] = {}
    for j in own:
        for name, value in j.rated:
            rated.setdefault(name, []).append((value, j))
    estimates = {name: _mean([v for v, _ in found], [j for _, j in found]) for name, found in sorted(rated.items())}
    ranked = sorted((n for n in estimates if not n.endswith(ANCHOR)), key=lambda name: -estimates[name].mean)
    if len(ranked) < 2:
        return Conclusion(judgments=len(own), ratings=estimates, leader=ranked[0] if ranked else "")
    leader, runner_up = ranked[:2]
    gap = _difference(rated[leader], rated[runner_up])
    if gap is None or gap.interval is None or gap.se is None:
        problem = "The two best were not rated by the same reviewer on the same line yet."
        return Conclusion(judgments=len(own), ratings=estimates, leader=leader, runner_up=runner_up, problem=problem)
    shown = gap.interval.low > 0
    more = None
    if not shown and gap.mean > 0 and gap.se > 0:
        wanted = gap.mean / ((gap.interval.high - gap.mean) / gap.se)
        more = _capped(power.more_for_error(len(own), gap.se, wanted))
    return Conclusion(
        judgments=len(own),
        ratings=estimates,
        leader=leader,
        runner_up=runner_up,
        gap=gap.mean,
        low=gap.interval.low,
        high=gap.interval.high,
        shown=shown,
        more=more,
    )


def _difference(one: Sequence[tuple[float, Judgment]], other: Sequence[tuple[float, Judgment]]) -> MeanEstimate | None:
    """Of ratings by the same reviewer on the same line: what reviewers and lines have in common falls out."""
    by_place: dict[tuple[str, str], list[float]] = {}
    for value, j in other:
        by_place.setdefault((j.reviewer, j.line), []).append(value)
    gaps, where = [], []
    for value, j in one:
        if found := by_place.get((j.reviewer, j.line)):
            gaps.append(value - sum(found) / len(found))
            where.append(j)
    return _mean(gaps, where) if len(gaps) > 1 else None


def _mean(values: Sequence[float], judgments: Sequence[Judgment]) -> MeanEstimate:
    ways = {"rater": [j.reviewer for j in judgments], "line": [j.line for j in judgments]}
    return means.clustered_mean(values, ways)


def _capped(more: int) -> int | None:
    return more if more <= power.MOST else None
