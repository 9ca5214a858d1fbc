"""Does the speaking rate drift over the epochs of a run? A slope with its interval, over the clips at one scale.

Pure: knows rates by epoch and nothing of audio. Steadily faster or slower speech is the sign of labels that were
shifted twice, and of overfitting to one reader's tempo; one odd checkpoint is neither.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

FEWEST_EPOCHS = 3
LEAST_PERCENT = 5.0  # over all epochs: a drift that nobody would hear is none
MOST_REACH_PERCENT = 10.0  # half an interval over all epochs: what is wider cannot say that there is no drift


TOO_FAR_APART = "too far apart to tell"


@dataclass(frozen=True, kw_only=True)
class Trend:
    """A drift over epochs. Slopes are in per cent of the mean rate an epoch; NaN where it cannot be judged."""

    slope: float
    low: float  # 95 % interval
    high: float
    epochs: float  # from the first to the last
    passed: bool | None
    explanation: str


def rate_trend(points: Sequence[tuple[float, float]], lines: Sequence[Hashable] = ()) -> Trend:
    """The trend of (epoch, rate) points, several clips an epoch, by least squares with Student's t interval.

    `lines` says of each point which line was spoken: lines have rates of their own, so that each is held against its
    own mean (the within estimator of a fixed-effects model) and a line that some epochs lack makes no trend. Flagged
    when the interval excludes 0 and the drift over all epochs is 5 % or more. Where it includes 0 and reaches further
    than 10 % over all epochs, the rates lie too far apart to tell.
    """
    from scipy import stats

    named = zip(points, lines or ("",) * len(points), strict=True)
    known = [(epoch, rate, line) for (epoch, rate), line in named if math.isfinite(rate) and rate > 0]
    epochs = {epoch for epoch, _, _ in known}
    free = len(known) - len({line for _, _, line in known}) - 1
    away, off = _within(known)
    spread = sum(x * x for x in away)
    if len(epochs) < FEWEST_EPOCHS or free < 1 or spread <= 0:
        told = f"A trend needs clips of {FEWEST_EPOCHS} epochs or more, of the same lines."
        return Trend(slope=math.nan, low=math.nan, high=math.nan, epochs=0.0, passed=None, explanation=told)
    slope = sum(x * y for x, y in zip(away, off, strict=True)) / spread
    left = sum((y - slope * x) ** 2 for x, y in zip(away, off, strict=True))
    reach = float(stats.t.ppf(0.975, free)) * math.sqrt(left / free / spread)
    span = max(epochs) - min(epochs)
    drifts = (slope - reach > 0 or slope + reach < 0) and abs(slope) * span >= LEAST_PERCENT
    is_open = not drifts and reach * span > MOST_REACH_PERCENT
    side = "speech gets " + ("faster" if slope > 0 else "slower")
    told = f"The rate changes by {slope:+.1f} % an epoch ({slope - reach:+.1f} to {slope + reach:+.1f})"
    return Trend(
        slope=slope,
        low=slope - reach,
        high=slope + reach,
        epochs=span,
        passed=None if is_open else not drifts,
        explanation=f"{told}: {side if drifts else TOO_FAR_APART if is_open else 'no drift'}.",
    )


def _within(known: Sequence[tuple[float, float, Hashable]]) -> tuple[list[float], list[float]]:
    """Each point's distance from its line's means: in epochs, and in per cent of the line's mean rate."""
    own: dict[Hashable, list[tuple[float, float]]] = {}
    for epoch, rate, line in known:
        own.setdefault(line, []).append((epoch, rate))
    means = {line: (_mean(e for e, _ in found), _mean(r for _, r in found)) for line, found in own.items()}
    away = [epoch - means[line][0] for epoch, _, line in known]
    off = [100.0 * (rate / means[line][1] - 1.0) for _, rate, line in known]
    return away, off


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)
