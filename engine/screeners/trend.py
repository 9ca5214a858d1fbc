"""Does the speaking rate drift over the epochs of a run? A slope with its interval, over the clips at one scale.

Pure: knows rates by epoch and nothing of audio. Steadily faster or slower speech is the sign of labels that were
shifted twice, and of overfitting to one reader's tempo; one odd checkpoint is neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_EPOCHS = 3
LEAST_PERCENT = 5.0  # over all epochs: a drift that nobody would hear is none


@dataclass(frozen=True, kw_only=True)
class Trend:
    """A drift over epochs. Slopes are in per cent of the mean rate an epoch; NaN where it cannot be judged."""

    slope: float
    low: float  # 95 % interval
    high: float
    epochs: float  # from the first to the last
    passed: bool | None
    explanation: str


def rate_trend(points: Sequence[tuple[float, float]]) -> Trend:
    """The trend of (epoch, rate) points, several clips an epoch, by least squares with Student's t interval.

    Flagged when the interval excludes 0 and the drift over all epochs is 5 % or more.
    """
    from scipy import stats

    known = [(epoch, rate) for epoch, rate in points if math.isfinite(rate)]
    epochs = [epoch for epoch, _ in known]
    if len(set(epochs)) < FEWEST_EPOCHS or len(known) < FEWEST_EPOCHS + 1:
        told = f"A trend needs clips of {FEWEST_EPOCHS} epochs or more."
        return Trend(slope=math.nan, low=math.nan, high=math.nan, epochs=0.0, passed=None, explanation=told)
    mean = sum(rate for _, rate in known) / len(known)
    fit = stats.linregress(epochs, [100.0 * rate / mean for _, rate in known])
    reach = float(stats.t.ppf(0.975, len(known) - 2)) * float(fit.stderr)
    slope, span = float(fit.slope), max(epochs) - min(epochs)
    drifts = (slope - reach > 0 or slope + reach < 0) and abs(slope) * span >= LEAST_PERCENT
    side = "faster" if slope > 0 else "slower"
    told = f"The rate changes by {slope:+.1f} % an epoch ({slope - reach:+.1f} to {slope + reach:+.1f})"
    return Trend(
        slope=slope,
        low=slope - reach,
        high=slope + reach,
        epochs=span,
        passed=not drifts,
        explanation=f"{told}: {'speech gets ' + side if drifts else 'no drift'}.",
    )
