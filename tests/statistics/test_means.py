"""Means of ratings against hand calculations and published formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.statistics.means import clustered_mean, mean_of
from engine.types import BadInput

VOTES = (5.0, 4.0, 4.0, 3.0, 5.0, 4.0, 2.0, 4.0, 5.0, 4.0)


def test_ten_votes() -> None:
    """Mean 4.0, sd .9428; with few votes the interval is Student's (+-.6744), not 1.96 standard errors (+-.5844)."""
    found = mean_of(VOTES)
    assert found.interval is not None
    assert found.se is not None
    assert (found.mean, found.sd) == (4.0, pytest.approx(0.9428, abs=5e-5))
    assert found.interval.high - found.mean == pytest.approx(0.6744, abs=5e-5)
    assert 1.96 * found.se == pytest.approx(0.5844, abs=5e-5)


def test_clusters_by_hand() -> None:
    """With equal clusters the sandwich is the variance of the clusters' means."""
    random = np.random.default_rng(4)
    tastes = random.normal(0, 1, 12)
    ratings = [float(taste + random.normal(0, 0.3)) for taste in tastes for _ in range(6)]
    raters = [n for n in range(12) for _ in range(6)]
    found = clustered_mean(ratings, {"rater": raters})
    means = np.array(ratings).reshape(12, 6).mean(axis=1)
    assert found.se == pytest.approx(means.std(ddof=1) / math.sqrt(12), rel=1e-9)
    assert found.clustered_by == ("rater",)


def test_what_cannot_be_said() -> None:
    """One rating has no spread, one cluster no differences, equal ratings no error to cluster."""
    assert mean_of([3.0]).interval is None
    alone = clustered_mean(VOTES, {"rater": ["x"] * 10})
    assert alone.clustered_by == ()
    assert "One rater alone" in alone.warnings[0]
    assert clustered_mean([3.0, 3.0], {"rater": ["x", "y"]}).se == 0.0
    with pytest.raises(BadInput):
        mean_of([])
    with pytest.raises(BadInput):
        mean_of([1.0, math.nan])
