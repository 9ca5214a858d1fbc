"""Shares of yes and no: exact tests and intervals of one binomial count.

Knows two counts. Treats answers as independent, which answers of one reviewer or about one line are not: read the
intervals as the narrowest they can be; `paired_model` has clustered ones.
"""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import NormalDist
from typing import NamedTuple

from engine.types import BadInput


class Interval(NamedTuple):
    """Bounds of what was estimated, in its own units."""

    low: float
    high: float


# --------------------------------------------------------------------------------------------------------------- tests
def at_least(successes: int, n: int, rate: float = 0.5) -> float:
    """P(`successes` or more of n) when each succeeds with probability `rate`: the one-sided exact p-value."""
    _check_counts(successes, n, 0.5)
    _check_rate(rate)
    if successes == 0:
        return 1.0
    if rate == 0.5:  # exact integers, however many
        return sum(math.comb(n, k) for k in range(successes, n + 1)) / (1 << n)
    return math.fsum(_mass(k, n, rate) for k in range(successes, n + 1))


def two_sided(successes: int, n: int, rate: float = 0.5) -> float:
    """The two-sided exact p-value: all counts that are no more likely than what was seen (as R's binom.test)."""
    _check_counts(successes, n, 0.5)
    _check_rate(rate)
    seen = _mass(successes, n, rate)
    return min(1.0, math.fsum(mass for k in range(n + 1) if (mass := _mass(k, n, rate)) <= seen * (1 + 1e-7)))


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact p-value of the sign test: wins and losses equally likely, ties left out. 1 without answers."""
    _check_counts(wins, wins + losses, 0.5)
    return min(1.0, 2 * at_least(max(wins, losses), wins + losses))


def wins_needed(trials: int, error: float) -> int:
    """The fewest wins of `trials` that are significant in the one-sided exact test; `trials` + 1 when none are."""
    tail, most = 0, int(Fraction(error) * (1 << trials))  # ways, in integers: they outgrow a float at 1024 trials
    for wins in range(trials, -1, -1):
        tail += math.comb(trials, wins)
        if tail > most:
            return wins + 1
    return 0


def _mass(k: int, n: int, rate: float) -> float:
    if rate in (0.0, 1.0):
        return float(k == n * rate)
    log_ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(log_ways + k * math.log(rate) + (n - k) * math.log1p(-rate))


# ----------------------------------------------------------------------------------------------------------- intervals
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
    from scipy.special import betaincinv  # a third of a second that the first page need not wait for

    return float(betaincinv(successes, n - successes + 1, tail))


def _check_counts(successes: int, n: int, confidence: float) -> None:
    if not 0 <= successes <= n:
        raise BadInput(f"{successes} of {n} is not a count; give 0 to {n}.")
    if not 0.0 < confidence < 1.0:
        raise BadInput(f"A confidence lies between 0 and 1, not at {confidence}.")


def _check_rate(rate: float) -> None:
    if not 0.0 <= rate <= 1.0:
        raise BadInput(f"A rate lies between 0 and 1, not at {rate}.")
