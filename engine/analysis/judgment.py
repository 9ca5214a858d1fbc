"""One answer with all that an analysis may look at, and answers as comparisons and as ratings.

Knows names as they were presented, and no audio. Computes nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.statistics.comparison import Comparison
from engine.types import Choice, TrialKind, TrialRole

ANCHOR = " (degraded)"  # behind the name of a candidate whose clip was degraded


@dataclass(frozen=True, kw_only=True)
class Judgment:
    """`names` are the candidates as they were presented, in the order of their labels; a degraded one says so.

    A choice, a rating (CMOS: the second against the first) or ratings by label, as in `Response`.
    """

    trial: str
    reviewer: str
    line: str
    kind: TrialKind
    role: TrialRole
    names: tuple[str, ...]
    labels: tuple[str, ...]
    choice: Choice | None = None
    rating: float | None = None
    ratings: Mapping[str, float] = field(default_factory=dict)
    repeats: str | None = None

    @property
    def rated(self) -> list[tuple[str, float]]:
        """Ratings by name: one of a MOS trial, all of a multi trial."""
        if self.kind is TrialKind.MOS and self.rating is not None:
            return [(self.names[0], self.rating)]
        shown = zip(self.names, self.labels, strict=True)
        return [(name, self.ratings[label]) for name, label in shown if label in self.ratings]


def main_ones(judgments: Iterable[Judgment]) -> list[Judgment]:
    """Those that are evidence about candidates."""
    return [j for j in judgments if j.role is TrialRole.MAIN]


def comparisons(judgments: Iterable[Judgment]) -> list[Comparison]:
    """A/B and CMOS answers as comparisons; a CMOS above 0 is a preference for the second."""
    found = []
    for j in main_ones(judgments):
        if (choice := _preferred(j)) is not None and j.names[0] != j.names[1]:
            found.append(Comparison(j.names[0], j.names[1], choice, j.reviewer, j.line))
    return found


def _preferred(judgment: Judgment) -> Choice | None:
    if judgment.kind is TrialKind.PREFERENCE:
        return judgment.choice
    if judgment.kind is TrialKind.CMOS and judgment.rating is not None:
        return Choice.TIE if judgment.rating == 0 else Choice.B if judgment.rating > 0 else Choice.A
    return None


def without(judgments: Sequence[Judgment], *, reviewer: str = "", line: str = "") -> list[Judgment]:
    """All but those of one reviewer, or about one line."""
    return [j for j in judgments if not (j.reviewer == reviewer or j.line == line)]
