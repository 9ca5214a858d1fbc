"""Candidates as points of a surface over epoch and scale, and what is believed of the surface before any answer.

Knows epochs and scales; nothing of audio. Utilities are logits. Nearby epochs and scales sound alike, so one judgment
says something of the neighbours as well: a Gaussian process. A part that is not smooth keeps it from believing too
much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Arm:
    """One candidate. The base has epoch 0 and scale 0."""

    name: str
    epoch: float
    scale: float


@dataclass(frozen=True)
class SurfacePrior:
    """Standard deviations in logits, lengths as shares of the range of epochs and of scales."""

    smooth_sd: float
    rough_sd: float
    epoch_length: float
    scale_length: float

    def covariance(self, arms: Sequence[Arm]) -> NDArray[np.float64]:
        """Prior covariance of the utilities, (k, k)."""
        import numpy as np

        x = np.array([[arm.epoch, arm.scale] for arm in arms], dtype=np.float64)
        span = np.ptp(x, axis=0)
        x = x / np.where(span > 0, span, 1.0) / np.array([self.epoch_length, self.scale_length])
        squared = ((x[:, None, :] - x[None, :, :]) ** 2).sum(axis=2)
        smooth: NDArray[np.float64] = self.smooth_sd**2 * np.exp(-squared / 2) + self.rough_sd**2 * np.eye(len(arms))
        return smooth


# How smooth the surface is, is told by the answers: these beliefs are weighed by how well they foresaw them.
PRIORS = tuple(
    SurfacePrior(smooth_sd=sd, rough_sd=rough, epoch_length=length, scale_length=length)
    for sd, rough in ((0.7, 0.2), (1.3, 0.3), (0.5, 1.0))
    for length in (0.3, 0.7)
)
