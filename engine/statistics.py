"""How sure the answers make us: intervals, exact tests, preference strengths with ties, agreement between reviewers.

Knows counts and names; no I/O. Each function names its source, and its test the published or exact number it must
give. All treat answers as independent, which answers of one reviewer or about one line are not: read the intervals as
the narrowest they can be.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

from engine.types import BadInput


class Interval(NamedTuple):
    """Bounds of a share, both in 0..1."""

    low: float
    high: float


# ----------------------------------------------------------------------------------------------------------- pass rates
def clopper_pearson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The exact two-sided interval of a share (Clopper & Pearson 1934), never too narrow; 0..1 for n = 0."""
    _check_counts(successes, n, confidence)
    tail = (1.0 - confidence) / 2.0
    return Interval(_lower(successes, n, tail), 1.0 - _lower(n - successes, n, tail))


def pass_rate_lower_bound(passes: int, n: int, confidence: float = 0.95) -> float:
    """With this confidence the pass rate is above the returned share: the one-sided Clopper-Pearson bound.

    For n passes in a row it is (1 - confidence) ** (1 / n): 12 of 12 show more than 78 %, 3 of 3 no more than 37 %.
    """
    _check_counts(passes, n, confidence)
    return _lower(passes, n, 1.0 - confidence)


def passes_needed(rate: float, confidence: float = 0.95) -> int:
    """The shortest row of passes without a fail that shows a pass rate above `rate` (0 < rate < 1)."""
    if not 0.0 < rate < 1.0:
        raise BadInput(f"A pass rate to show lies between 0 and 1, not at {rate}.")
    _check_counts(0, 0, confidence)
    estimate = math.ceil(math.log(1.0 - confidence) / math.log(rate))
    return next(n for n in range(max(1, estimate - 1), estimate + 3) if (1.0 - confidence) ** (1.0 / n) >= rate - 1e-12)


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of a share (Wilson 1927): close to the promised coverage also for few answers. 0..1 when n is
    0.
    """
    _check_counts(successes, n, confidence)
    if n == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At no success or no fail the bound is 0 or 1 exactly; rounding must not put it elsewhere.
    return Interval(0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


def _lower(successes: int, n: int, tail: float) -> float:
    """The share at which `successes` or more of n have probability `tail`: a quantile of a beta distribution."""
    if successes == 0:
        return 0.0
    from scipy.special import (
        betaincinv,
    )  # here, since scipy takes a third of a second that the first page need not wait for

    return float(betaincinv(successes, n - successes + 1, tail))


def _check_counts(successes: int, n: int, confidence: float) -> None:
    if not 0 <= successes <= n:
        raise BadInput(f"{successes} of {n} is not a count; give 0 to {n}.")
    if not 0.0 < confidence < 1.0:
        raise BadInput(f"A confidence lies between 0 and 1, not at {confidence}.")


# ---------------------------------------------------------------------------------------------------------- preferences
def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact p-value of the sign test: wins and losses equally likely, ties left out. 1 without answers."""
    _check_counts(wins, wins + losses, 0.5)
    n = wins + losses
    tail = sum(math.comb(n, k) for k in range(max(wins, losses), n + 1))
    return min(1.0, 2 * tail / (1 << n))


@dataclass(frozen=True, kw_only=True)
class PreferenceSummary:
    """A against B. `share` is of A among answers that chose a side, None without any; `p_value` is of `sign_test`."""

    wins: int
    losses: int
    ties: int
    share: float | None
    interval: Interval
    p_value: float
    sentence: str


def preference_summary(wins: int, losses: int, ties: int, confidence: float = 0.95) -> PreferenceSummary:
    """What A/B answers show, with the exact interval of A's share and a sentence for the page."""
    decided = wins + losses
    interval = clopper_pearson(wins, decided, confidence)
    p_value = sign_test(wins, losses)
    if not decided:
        sentence = f"{ties} ties and no preference." if ties else "No answers yet."
    else:
        shown = "a preference" if p_value <= 1.0 - confidence else "no preference shown"
        sentence = (
            f"A preferred {wins} of {decided} times ({interval.low:.0%} to {interval.high:.0%} with {confidence:.0%} "
            f"confidence), {ties} ties: {shown} (p = {p_value:.3f})."
        )
    return PreferenceSummary(
        wins=wins,
        losses=losses,
        ties=ties,
        share=wins / decided if decided else None,
        interval=interval,
        p_value=p_value,
        sentence=sentence,
    )


# ------------------------------------------------------------------------------------------------------------ agreement
def agreement(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for nominal answers (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability").

    A unit is what several reviewers answered to, given as their answers; missing answers are left out. 1 is full
    agreement, 0 what chance gives. None when it cannot be said: no unit with two answers, or all answers alike.
    """
    pairable = [list(unit) for unit in units if len(unit) > 1]
    totals = Counter(answer for unit in pairable for answer in unit)
    n = totals.total()
    expected = sum(count * (n - count) for count in totals.values())
    if expected == 0:
        return None
    observed = sum(
        sum(count * (len(unit) - count) for count in Counter(unit).values()) / (len(unit) - 1) for unit in pairable
    )
    return 1.0 - (n - 1) * observed / expected
