"""How many judgments are needed: planned before the first, and estimated from what was heard so far.

Knows counts and rates of decided A/B answers. What is estimated from answers goes on as they went so far, which is the
best guess and not a promise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.statistics import binomial, stopping
from engine.types import BadInput

MOST = 5000  # judgments; beyond that a difference is too small to be worth showing
NEGLIGIBLE = 0.01  # of a share from one half, at which no number of judgments is a plan


@dataclass(frozen=True, kw_only=True)
class FixedSample:
    """A fixed number of judgments and the wins of them that show a preference; power as it really is."""

    judgments: int
    wins_needed: int
    power: float


def fixed_sample(p1: float, *, error: float = 0.05, power: float = 0.95) -> FixedSample:
    """The fewest judgments of which a one-sided exact test at `error` finds a preference rate `p1` with `power`."""
    if not 0.5 < p1 < 1.0:
        raise BadInput(f"The rate to find lies above 0.5 and below 1, not at {p1}.")
    if not 0.0 < power < 1.0 or not 0.0 < error < 1.0:
        raise BadInput("Error and power lie between 0 and 1.")
    for n in range(1, MOST):
        wins = binomial.wins_needed(n, error)
        reached = binomial.at_least(wins, n, p1) if wins <= n else 0.0
        if reached >= power:
            return FixedSample(judgments=n, wins_needed=wins, power=reached)
    raise BadInput(f"A rate of {p1} needs more than {MOST} judgments; look for a larger difference.")


def more_until_stop(wins: int, losses: int, *, error: float = stopping.ERROR) -> int | None:
    """How many more decided judgments until the e-value stops, if wins and losses go on in the shares they have so far.

    0 when it has stopped. None when that cannot be said: no answers yet, shares too near to one half, or too many.
    """
    n = wins + losses
    if stopping.by_e_value(wins, n, error=error).stop:
        return 0
    if n == 0 or abs(wins / n - 0.5) < NEGLIGIBLE:
        return None
    share = wins / n
    for total in range(n + 1, MOST):
        if stopping.e_value(round(share * total), total) >= 1.0 / error:
            return total - n
    return None


def more_for_error(judgments: int, se: float, wanted_se: float) -> int:
    """How many more judgments of the same kind bring a standard error down to `wanted_se`: it falls with their root."""
    if judgments < 1 or se < 0 or wanted_se <= 0:
        raise BadInput("Give the judgments so far, their standard error, and a wanted one above 0.")
    return max(0, math.ceil(judgments * (se / wanted_se) ** 2) - judgments)
