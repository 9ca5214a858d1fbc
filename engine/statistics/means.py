"""Means of ratings (MOS 1 to 5, CMOS -3 to 3, sliders 0 to 100) with intervals that know who rated what.

Knows numbers and cluster names. Reviewers stretch a scale over what they are shown, so a mean says something within one
session only: compare candidates of one session, never means of two.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from engine.statistics import clustering
from engine.statistics.binomial import Interval
from engine.types import BadInput


@dataclass(frozen=True, kw_only=True)
class MeanEstimate:
    """`interval` is Student's t at `confidence`; None with fewer than two ratings (or clusters). `se` likewise."""

    mean: float
    sd: float | None
    se: float | None
    interval: Interval | None
    n: int
    clustered_by: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def mean_of(ratings: Sequence[float], *, confidence: float = 0.95) -> MeanEstimate:
    """The mean with the t interval that calls all ratings independent. Raises BadInput without any."""
    _check(ratings)
    n, mean = len(ratings), fmean(ratings)
    if n < 2:
        return MeanEstimate(mean=mean, sd=None, se=None, interval=None, n=n, warnings=("One rating has no spread.",))
    sd = stdev(ratings)
    se = sd / math.sqrt(n)
    return MeanEstimate(mean=mean, sd=sd, se=se, interval=_interval(mean, se, n - 1, confidence), n=n)


def clustered_mean(
    ratings: Sequence[float], ways: Mapping[str, Sequence[Hashable]], *, confidence: float = 0.95
) -> MeanEstimate:
    """The mean with an interval that knows which ratings belong together. `ways`: names with each rating's cluster."""
    plain = mean_of(ratings, confidence=confidence)
    if plain.sd is None:
        return plain
    import numpy as np

    n = len(ratings)
    scores = np.asarray(ratings, dtype=np.float64)[:, None] - plain.mean
    # The floor for few clusters is the plain variance of the mean.
    bread = np.array([[1.0 / n]])
    scale = math.sqrt(n) * (plain.se or 0.0)
    if scale == 0.0:
        return plain
    found = clustering.sandwich(scores / scale, bread, ways)
    if not found.ways or found.degrees is None:
        return MeanEstimate(**{**vars(plain), "warnings": found.warnings})
    # `sandwich` works in units of the ratings' standard deviation, where the plain variance is the bread.
    se = scale * math.sqrt(float(found.covariance[0, 0]))
    return MeanEstimate(
        mean=plain.mean,
        sd=plain.sd,
        se=se,
        interval=_interval(plain.mean, se, found.degrees, confidence),
        n=n,
        clustered_by=found.ways,
        warnings=found.warnings,
    )


def _interval(mean: float, se: float, degrees: int, confidence: float) -> Interval:
    from scipy.special import stdtrit  # a third of a second that the first page need not wait for

    half = float(stdtrit(degrees, (1 + confidence) / 2)) * se
    return Interval(mean - half, mean + half)


def _check(ratings: Sequence[float]) -> None:
    if not ratings:
        raise BadInput("There are no ratings to take a mean of yet.")
    if not all(math.isfinite(rating) for rating in ratings):
        raise BadInput("A rating is no number; leave missing ones out.")
