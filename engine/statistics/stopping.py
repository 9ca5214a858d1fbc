"""When to stop asking: three answers to whether a champion is preferred, from its wins and all decided trials.

Knows two counts; ties are left out by the caller. An e-value may be looked at after every answer and stopped at any
time. Wald's SPRT too, and needs a rate p1 to tell from one half. The exact test holds for a number of trials that was
fixed before the first: looking at it again and again finds something in the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.statistics import binomial
from engine.types import BadInput

ERROR = 0.05
P1 = 0.7
GO_ON, BETTER, WORSE, NO_BETTER = "go on", "better", "worse", "not better"


@dataclass(frozen=True, kw_only=True)
class StopState:
    """Whether to stop, what is then decided, and the number that decided it against its threshold.

    `decision`: "better" or "worse" than the other side of the comparison, "not better" (by as much as asked), "go on".
    `statistic`: the e-value, the SPRT's log likelihood ratio, or the one-sided p-value. `more`: other numbers of it.
    """

    stop: bool
    decision: str
    statistic: float
    threshold: float
    explanation: str
    more: Mapping[str, float]


def e_value(wins: int, trials: int) -> float:
    """The mixture e-value against "wins and losses are equally likely", with all rates equally likely beforehand.

    2^n B(wins + 1, losses + 1), with B the beta function: the mean likelihood ratio over all rates (Robbins 1970). When
    there is no preference, it reaches 20 at any time with probability at most 1/20 (Ville). May overflow to infinity.
    """
    _check(wins, trials)
    log_value = trials * math.log(2) + _log_beta(wins + 1, trials - wins + 1)
    return math.exp(log_value) if log_value < 700 else math.inf


def by_e_value(wins: int, trials: int, *, error: float = ERROR) -> StopState:
    """Stop when the e-value reaches 1 / `error`, in favour of the side that has more wins."""
    value, threshold = e_value(wins, trials), 1.0 / error
    stop = value >= threshold
    decision = (BETTER if 2 * wins > trials else WORSE) if stop else GO_ON
    told = f"{wins} of {trials}: e-value {value:.3g}, {'at least' if stop else 'below'} {threshold:.0f}."
    return StopState(stop=stop, decision=decision, statistic=value, threshold=threshold, explanation=told, more={})


def by_sprt(wins: int, trials: int, *, p1: float = P1, error: float = ERROR) -> StopState:
    """Wald's sequential probability ratio test of a rate of one half against `p1`, both errors `error`.

    In counts: stop for `p1` at wins >= slope * trials + intercept, for one half at wins <= slope * trials - intercept.
    """
    _check(wins, trials)
    if not 0.5 < p1 < 1.0:
        raise BadInput(f"The rate to tell from one half lies above 0.5 and below 1, not at {p1}; usual is {P1}.")
    win, loss = math.log(p1 / 0.5), math.log((1 - p1) / 0.5)
    bound = math.log((1 - error) / error)
    ratio = wins * win + (trials - wins) * loss
    lines = {"lower_threshold": -bound, "slope": -loss / (win - loss), "intercept": bound / (win - loss)}
    stop = abs(ratio) >= bound - 1e-12
    decision = (BETTER if ratio > 0 else NO_BETTER) if stop else GO_ON
    told = f"{wins} of {trials}: log likelihood ratio {ratio:.3f}, stopping at {-bound:.3f} and {bound:.3f} (p1 {p1})."
    return StopState(stop=stop, decision=decision, statistic=ratio, threshold=bound, explanation=told, more=lines)


def by_exact_test(wins: int, trials: int, *, error: float = ERROR) -> StopState:
    """The one-sided exact binomial test for a number of trials that was fixed beforehand."""
    _check(wins, trials)
    p_value = binomial.at_least(wins, trials)
    stop = p_value <= error
    more = {
        "two_sided_p_value": binomial.two_sided(wins, trials),
        "wins_needed": float(binomial.wins_needed(trials, error)),
    }
    told = f"{wins} of {trials}: one-sided p = {p_value:.4f}, valid if {trials} trials were fixed beforehand."
    decision = BETTER if stop else GO_ON
    return StopState(stop=stop, decision=decision, statistic=p_value, threshold=error, explanation=told, more=more)


METHODS: Mapping[str, Callable[..., StopState]] = {"evalue": by_e_value, "sprt": by_sprt, "exact": by_exact_test}


def _log_beta(x: float, y: float) -> float:
    return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)


def _check(wins: int, trials: int) -> None:
    if trials < 0 or not 0 <= wins <= trials:
        raise BadInput(f"{wins} wins of {trials} trials cannot be; wins are 0 to the number of decided trials.")
