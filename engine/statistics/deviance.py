"""How well a paired model fits: the deviances that published tables print.

A cell is an ordered pair, as a row of the tables that R's BradleyTerry2 fits. Its Bradley-Terry deviance is against the
saturated model, one free share a cell; that of a Davidson model (PlackettLuce prints it) is -2 log likelihood of the
answers one by one. `Deviance` has both for either. Where rows list winners and not an order, cells are unordered pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.statistics.comparison import Comparison, is_list_of_winners

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.statistics.design import Design
    from engine.statistics.newton import ChoiceLikelihood


@dataclass(frozen=True, kw_only=True)
class Deviance:
    """`residual` is against the saturated model, with `residual_df`; `null` against it when all are equally strong and
    order does not matter, with `null_df`.
    """

    minus_two_log_likelihood: float
    residual: float
    residual_df: int
    null: float
    null_df: int
    parameters: int

    @property
    def aic(self) -> float:
        """Akaike's criterion: of two models of the same answers the one with less is to be preferred."""
        return self.minus_two_log_likelihood + 2 * self.parameters


def of(
    design: Design, likelihood: ChoiceLikelihood, at: NDArray[np.float64], comparisons: Sequence[Comparison]
) -> Deviance:
    """The deviances of a fit whose parameters are `at`, (p,)."""
    import numpy as np

    counts = _merged(design) if is_list_of_winners(comparisons) and not design.has_order else design.counts
    totals = counts.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        saturated = float(np.nansum(np.where(counts > 0, counts * np.log(counts / totals), 0.0)))
    fitted = likelihood.log_likelihood(at)
    freedom = counts.shape[0] * (counts.shape[1] - 1)
    parameters = design.features.shape[2] - 1
    return Deviance(
        minus_two_log_likelihood=-2.0 * fitted,
        residual=max(0.0, 2.0 * (saturated - fitted)),
        residual_df=freedom - parameters,
        null=2.0 * (saturated - _null(design)),
        null_df=freedom - design.has_ties,
        parameters=parameters,
    )


def _null(design: Design) -> float:
    """The log likelihood when both are equally likely to win and ties have the share that they have in all answers."""
    import numpy as np

    totals = design.counts.sum(axis=0)
    decided = totals[:2].sum()
    shares = np.array([decided / 2, decided / 2, *totals[2:]]) / totals.sum()
    return float((totals * np.log(np.where(totals > 0, shares, 1.0))).sum())


def _merged(design: Design) -> NDArray[np.float64]:
    """Counts of unordered pairs, (c', o)."""
    import numpy as np

    merged: dict[tuple[str, str], NDArray[np.float64]] = {}
    for (a, b), counts in zip(design.pairs, design.counts, strict=True):
        turned = counts if a < b else counts[[1, 0, *range(2, len(counts))]]
        key = (min(a, b), max(a, b))
        merged[key] = merged.get(key, 0.0) + turned
    return np.array(list(merged.values()))
