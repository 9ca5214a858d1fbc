"""Strengths of several candidates from A/B answers with ties: the Bradley-Terry model in Davidson's form.

Knows names and counts; no I/O. Davidson (1970): candidates have strengths p, and with a tie parameter nu

    P(a beats b) = p_a / (p_a + p_b + nu sqrt(p_a p_b)),   P(tie) = nu sqrt(p_a p_b) / (p_a + p_b + nu sqrt(p_a p_b)).

In log strengths this is a softmax over (d / 2, -d / 2, log nu) with d the difference of the two, so the log-likelihood
is concave and Newton's method finds its one maximum. Without ties nu is 0 and the model is Bradley-Terry (1952).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.types import BadInput, Choice, EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Comparison = tuple[str, str, Choice]
"""Names on side A and B, and what was answered: a, b or tie."""

PRIOR_SD = 2.0  # logits; used only where the answers alone have no finite maximum
MAX_STEPS = 100
TOLERANCE = 1e-10
FLAT = 1e-10  # directions with less than this share of the curvature are flat: moving all strengths together always is


class NotConverged(EngineError):
    """The fit did not settle. No numbers are better than wrong ones."""


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """Log strengths with mean 0 and their standard errors, by name. exp(a - b) is the odds of a against b without ties.

    `tie` is Davidson's nu. `separated`: somebody won or lost everything, so that the answers alone have no finite
    maximum and a normal prior of `PRIOR_SD` logits holds the numbers: believe the order, not the distances.
    """

    log_strength: Mapping[str, float]
    standard_error: Mapping[str, float]
    tie: float
    separated: bool

    def ranking(self) -> list[str]:
        """Names, strongest first; equals by name."""
        return sorted(self.log_strength, key=lambda name: (-self.log_strength[name], name))


def bradley_terry(comparisons: Sequence[Comparison]) -> Strengths:
    """Fit the model. Raises BadInput without answers, or when some candidates were never compared with the others,
    even through third ones: there is no common scale for them. Raises NotConverged rather than returning numbers that
    are not the maximum.
    """
    import numpy as np

    names, first, second, answered = _table(comparisons)
    _check_connected(names, comparisons)
    separated = not _has_maximum(names, comparisons)
    has_ties = any(choice is Choice.TIE for _, _, choice in comparisons)
    fit = _Fit(
        features=_features(len(names), first, second),
        answered=answered,
        precision=_precision(len(names), separated=separated, has_ties=has_ties),
        free=np.arange(len(names) + 1) < len(names) + has_ties,
        has_ties=has_ties,
    )
    found, covariance = fit.maximum()
    strengths = found[: len(names)]
    errors = np.sqrt(np.clip(np.diag(covariance)[: len(names)], 0.0, None))
    return Strengths(
        log_strength=dict(zip(names, strengths.tolist(), strict=True)),
        standard_error=dict(zip(names, errors.tolist(), strict=True)),
        tie=math.exp(found[-1]) if has_ties else 0.0,
        separated=separated,
    )


# -------------------------------------------------------------------------------------------------------------- the fit
@dataclass(frozen=True)
class _Fit:
    """Newton's method on the penalised log-likelihood of a multinomial choice among (a, b, tie).

    features: (m, 3, k + 1), what each answer of each comparison adds of each parameter. answered: (m,) indices into
    the three. precision: (k + 1,) of the normal prior. free: (k + 1,) parameters that are fitted; the others stay 0.
    """

    features: NDArray[np.float64]
    answered: NDArray[np.intp]
    precision: NDArray[np.float64]
    free: NDArray[np.bool_]
    has_ties: bool

    def maximum(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The parameters at the maximum, centred, and their covariance."""
        import numpy as np

        at = np.zeros(self.features.shape[2])
        value = self._value(at)
        for _ in range(MAX_STEPS):
            gradient, curvature = self._slope(at)
            inverse = np.asarray(np.linalg.pinv(curvature, rcond=FLAT, hermitian=True), dtype=np.float64)
            step = inverse @ gradient
            # The Newton decrement is twice the height still to climb.
            if gradient @ step < TOLERANCE**2 * max(1.0, abs(value)) or np.abs(step).max() < TOLERANCE:
                return at, inverse
            at, value = self._climb(at, value, step)
        raise NotConverged(
            f"The preference fit did not settle in {MAX_STEPS} steps; look at the counts of the pairs instead."
        )

    def _climb(
        self, at: NDArray[np.float64], value: float, step: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """The longest of the step, its half, its quarter ... that does not go down."""
        for halvings in range(60):
            there = at + step / 2.0**halvings
            height = self._value(there)
            if height >= value - 1e-12 * abs(value):
                return there, height
        raise NotConverged("The preference fit found no way up; look at the counts of the pairs instead.")

    def _log_shares(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        logits: NDArray[np.float64] = self.features @ at
        if not self.has_ties:
            logits[:, 2] = -np.inf
        logits -= logits.max(axis=1, keepdims=True)
        shares: NDArray[np.float64] = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return shares

    def _value(self, at: NDArray[np.float64]) -> float:
        import numpy as np

        log_shares = self._log_shares(at)
        return float(
            log_shares[np.arange(len(log_shares)), self.answered].sum() - 0.5 * (self.precision * at * at).sum()
        )

    def _slope(self, at: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gradient and negative Hessian: the features' surprise and their covariance under the model."""
        import numpy as np

        shares = np.exp(self._log_shares(at))
        expected = np.einsum("mc,mcp->mp", shares, self.features)
        observed = self.features[np.arange(len(shares)), self.answered]
        gradient = (observed - expected).sum(axis=0) - self.precision * at
        second = np.einsum("mc,mcp,mcq->pq", shares, self.features, self.features)
        curvature = second - expected.T @ expected + np.diag(self.precision)
        gradient = np.where(self.free, gradient, 0.0)
        curvature = np.where(np.outer(self.free, self.free), curvature, 0.0)
        return gradient, curvature


def _table(
    comparisons: Sequence[Comparison],
) -> tuple[list[str], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    import numpy as np

    if not comparisons:
        raise BadInput("There are no preferences to fit yet; answer some A/B trials first.")
    order = (Choice.A, Choice.B, Choice.TIE)
    for a, b, choice in comparisons:
        if choice not in order:
            raise BadInput(f"A preference is one of {', '.join(order)}, not {choice}; leave gate answers out.")
        if a == b:
            raise BadInput(f"{a} was compared with itself; leave catch trials out of the fit.")
    names = sorted({name for a, b, _ in comparisons for name in (a, b)})
    index = {name: place for place, name in enumerate(names)}
    first = np.array([index[a] for a, _, _ in comparisons])
    second = np.array([index[b] for _, b, _ in comparisons])
    return names, first, second, np.array([order.index(choice) for _, _, choice in comparisons])


def _features(count: int, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.float64]:
    import numpy as np

    features = np.zeros((len(first), 3, count + 1))
    each = np.arange(len(first))
    features[each, 0, first] = features[each, 1, second] = 0.5
    features[each, 0, second] = features[each, 1, first] = -0.5
    features[:, 2, count] = 1.0
    return features


def _precision(count: int, *, separated: bool, has_ties: bool) -> NDArray[np.float64]:
    import numpy as np

    precision = np.full(count + 1, PRIOR_SD**-2 if separated else 0.0)
    precision[-1] = PRIOR_SD**-2 if separated and has_ties else 0.0
    return precision


# ----------------------------------------------------------------------------------------------------- is there a scale
def _check_connected(names: Sequence[str], comparisons: Sequence[Comparison]) -> None:
    both_ways = {(x, y) for a, b, _ in comparisons for x, y in ((a, b), (b, a))}
    reached = _reached(names[0], both_ways)
    if left_out := [name for name in names if name not in reached]:
        raise BadInput(
            f"{', '.join(sorted(reached))} and {', '.join(left_out)} were never compared: they have no common scale; "
            "open a session with a pair of the two groups."
        )


def _has_maximum(names: Sequence[str], comparisons: Sequence[Comparison]) -> bool:
    """Whether the likelihood has a finite maximum: no direction exists in which it only grows.

    With the tie parameter held, a direction must not lower any winner against its loser and must keep the tied
    together: none is left when everyone can be reached from everyone by wins, a tie being a way in both directions
    (Ford 1957). With the tie parameter growing as well, it must part every winner from the loser by at least as much
    as it may part the tied: such a direction exists unless some cycle of comparisons has more wins than ties.
    """
    lost_to = {(b, a) for a, b, choice in comparisons if choice is not Choice.B}
    lost_to |= {(a, b) for a, b, choice in comparisons if choice is not Choice.A}
    won_over = {(y, x) for x, y in lost_to}
    everyone = len(names)
    if not len(_reached(names[0], lost_to)) == everyone == len(_reached(names[0], won_over)):
        return False
    has_ties = any(choice is Choice.TIE for _, _, choice in comparisons)
    return not has_ties or not _can_be_parted(names, comparisons)


def _can_be_parted(names: Sequence[str], comparisons: Sequence[Comparison]) -> bool:
    """Whether numbers exist with winner - loser >= 1 and |one - other| <= 1 for the tied.

    These are difference constraints: Bellman and Ford's relaxation settles them within as many rounds as there are
    names, or never.
    """
    most: set[tuple[str, str, int]] = set()  # (x, y, d): y is at most x + d
    for a, b, choice in comparisons:
        if choice is Choice.TIE:
            most |= {(a, b, 1), (b, a, 1)}
        else:
            most.add((a, b, -1) if choice is Choice.A else (b, a, -1))
    number = dict.fromkeys(names, 0)
    for _ in range(len(names) + 1):
        settled = True
        for x, y, d in most:
            if number[x] + d < number[y]:
                number[y] = number[x] + d
                settled = False
        if settled:
            return True
    return False


def _reached(start: str, ways: set[tuple[str, str]]) -> set[str]:
    reached, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for x, y in ways:
            if x == here and y not in reached:
                reached.add(y)
                todo.append(y)
    return reached
