"""Strengths of candidates from A/B answers: Bradley-Terry and Davidson with an order effect and clustered errors.

Knows names and answers; no I/O. Strengths are logits: exp(a - b) is the odds of a against b without ties, heard in no
order. The order effect is the logit that the one played first gains. The tie parameter is Davidson's nu, with the order
effect inside the square root, as in `design`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist
from typing import TYPE_CHECKING

from engine.statistics import clustering, comparison, deviance, separation
from engine.statistics import design as designs
from engine.statistics.binomial import Interval
from engine.statistics.clustering import Clustered
from engine.statistics.comparison import Comparison
from engine.statistics.design import Design
from engine.statistics.deviance import Deviance
from engine.statistics.newton import ChoiceLikelihood
from engine.types import BadInput, Choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CENTRED = "centred"
PRIOR_SD = 2.0  # logits; used only where the answers alone have no finite maximum
ENOUGH = 10  # answers a candidate, below which a ranking is a guess


class Model(StrEnum):
    """How ties are told."""

    BRADLEY_TERRY = "bt"  # half a win for each
    DAVIDSON = "davidson"  # an answer of their own


@dataclass(frozen=True, kw_only=True)
class Effect:
    """An estimated number with its standard error and 95 % interval, in logits."""

    estimate: float
    se: float
    interval: Interval


@dataclass(frozen=True, kw_only=True)
class PairedFit:
    """Strengths against `reference`: their mean ("centred") or a named candidate, whose own is 0 with no error.

    `separated`: the answers alone have no finite maximum, and a normal prior of `PRIOR_SD` logits holds the numbers:
    believe the order, not the distances. `clustered_by`: the ways in which the errors are clustered, if any; the plain
    errors call all answers independent. `covariance`: (k, k) in the order of the names of `strengths`.
    """

    model: Model
    reference: str
    strengths: Mapping[str, Effect]
    plain_errors: Mapping[str, float]
    covariance: NDArray[np.float64]
    order_effect: Effect | None
    tie_parameter: float | None
    deviance: Deviance
    judgments: int
    separated: bool
    clustered_by: tuple[str, ...]
    degrees: int | None
    warnings: tuple[str, ...]

    def ranking(self) -> list[str]:
        """Names, strongest first; equals by name."""
        return sorted(self.strengths, key=lambda name: (-self.strengths[name].estimate, name))

    def difference(self, better: str, worse: str) -> Effect:
        """How much stronger one is than another, with the error of that difference."""
        import numpy as np

        names = list(self.strengths)
        contrast = np.zeros(len(names))
        contrast[names.index(better)] += 1.0
        contrast[names.index(worse)] -= 1.0
        variance = float(contrast @ self.covariance @ contrast)
        gap = self.strengths[better].estimate - self.strengths[worse].estimate
        return _effect(gap, math.sqrt(max(0.0, variance)), self.degrees)


def fit(
    comparisons: Sequence[Comparison],
    *,
    model: Model | str = Model.DAVIDSON,
    order_effect: bool = False,
    reference: str = CENTRED,
    regularise: float = 0.0,
) -> PairedFit:
    """Fit by maximum likelihood, or with `regularise` > 0 as the mode under normal priors of that precision (1 / logits
    squared) around 0 for each log strength and the order effect.

    Errors are clustered by rater and line where the comparisons name them. Raises BadInput without answers, for groups
    that were never compared, for an unknown reference or an order effect that cannot be told; NotConverged rather than
    numbers that are not the maximum.
    """
    import numpy as np

    comparison.check(comparisons)
    if not (math.isfinite(regularise) and regularise >= 0):
        raise BadInput(f"A regularisation is a precision of 0 or more, not {regularise}.")
    model = Model(model)
    design = designs.build(comparisons, ties=model is Model.DAVIDSON, order=order_effect)
    contrasts = _contrasts(design, reference)
    separated = separation.is_separated(design.features, design.counts)
    likelihood = ChoiceLikelihood(
        features=design.features,
        counts=design.counts,
        precision=_precision(design, regularise, separated=separated),
    )
    at, inverse = likelihood.maximum()
    clustered = _clustered(design, comparisons, likelihood, at, inverse)
    covariance, plain = (contrasts @ c @ contrasts.T for c in (clustered.covariance, inverse))
    values, k = contrasts @ at, len(design.names)
    errors = np.sqrt(np.clip(np.diag(covariance), 0.0, None))
    plain_errors = np.sqrt(np.clip(np.diag(plain), 0.0, None)).tolist()
    effects = [_effect(float(v), float(e), clustered.degrees) for v, e in zip(values, errors, strict=True)]
    return PairedFit(
        model=model,
        reference=reference,
        strengths=dict(zip(design.names, effects[:k], strict=True)),
        plain_errors=dict(zip(design.names, plain_errors, strict=False)),
        covariance=covariance[:k, :k],
        order_effect=effects[design.order_column] if order_effect else None,
        tie_parameter=_tie_parameter(design, at, model),
        deviance=deviance.of(design, likelihood, at, comparisons),
        judgments=len(comparisons),
        separated=separated,
        clustered_by=clustered.ways,
        degrees=clustered.degrees,
        warnings=(*_warnings(design, comparisons, model, separated=separated), *clustered.warnings),
    )


# --------------------------------------------------------------------------------------------------------------- inside
def _effect(estimate: float, se: float, degrees: int | None) -> Effect:
    half = _quantile(degrees) * se
    return Effect(estimate=estimate, se=se, interval=Interval(estimate - half, estimate + half))


def _quantile(degrees: int | None) -> float:
    """Of the two-sided 95 % interval."""
    if degrees is None:
        return NormalDist().inv_cdf(0.975)
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def _contrasts(design: Design, reference: str) -> NDArray[np.float64]:
    """(p, p): parameters to strengths against the reference; what is no strength stays."""
    import numpy as np

    k, p = len(design.names), design.features.shape[2]
    against = np.eye(p)
    if reference == CENTRED:
        against[:k, :k] -= 1.0 / k
    elif reference in design.names:
        against[:k, design.names.index(reference)] -= 1.0
    else:
        raise BadInput(f"{reference!r} was not compared; choose a reference among {', '.join(design.names)}.")
    return against


def _precision(design: Design, regularise: float, *, separated: bool) -> NDArray[np.float64]:
    import numpy as np

    precision = np.full(design.features.shape[2], max(regularise, PRIOR_SD**-2 if separated else 0.0))
    if design.has_ties and not separated:
        precision[design.tie_column] = 0.0
    return precision


def _clustered(
    design: Design,
    comparisons: Sequence[Comparison],
    likelihood: ChoiceLikelihood,
    at: NDArray[np.float64],
    inverse: NDArray[np.float64],
) -> Clustered:
    import numpy as np

    columns = {"rater": [c.rater for c in comparisons], "line": [c.line for c in comparisons]}
    ways = {way: labels for way, labels in columns.items() if any(labels)}
    scores = np.einsum("mo,mop->mp", design.weights, likelihood.residuals(at)[design.cell_of])
    return clustering.sandwich(scores, inverse, ways)


def _tie_parameter(design: Design, at: NDArray[np.float64], model: Model) -> float | None:
    if model is Model.BRADLEY_TERRY:
        return None
    return math.exp(float(at[design.tie_column])) if design.has_ties else 0.0


def _warnings(design: Design, comparisons: Sequence[Comparison], model: Model, *, separated: bool) -> tuple[str, ...]:
    told = []
    if separated:
        told.append(
            "Separation: somebody won or lost everything, so the answers alone have no finite estimate; a prior of "
            f"{PRIOR_SD:g} logits holds the numbers. Believe the order, not the distances."
        )
    wanted = ENOUGH * len(design.names)
    if len(comparisons) < wanted:
        told.append(
            f"Too few judgments to rely on: {len(comparisons)} for {len(design.names)} candidates; "
            f"{wanted - len(comparisons)} more make {ENOUGH} for each."
        )
    ties = sum(c.choice is Choice.TIE for c in comparisons)
    if ties and model is Model.BRADLEY_TERRY:
        told.append(f"{ties} ties count as half a win for each; the davidson model tells them.")
    if design.has_order and comparison.is_list_of_winners(comparisons):
        told.append("The winner stands in the same column in every row: the order effect says how rows were written.")
    return tuple(told)
