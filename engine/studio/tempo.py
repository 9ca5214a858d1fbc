"""How fast the checkpoints of a run speak beside their base, and whether that drifts over the epochs. Pure.

Knows clips and the scores of the rate; `screeners.trend` judges the drift.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.screeners import trend
from engine.screeners.trend import Trend
from engine.studio.answers import reference_of
from engine.types import Checkpoint, Clip, Score

RATE = "rate"  # the screener that is looked at
Key = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Tempo:
    """One checkpoint at one scale: its rate in per cent of the base's on the same lines; NaN without the base.

    `has_drifted`: the run drifts at this scale, and this checkpoint is 5 % or more off the first one, the same way.
    """

    checkpoint_id: str
    epoch: int
    of_base_percent: float
    clips: int
    has_drifted: bool


@dataclass(frozen=True, kw_only=True)
class RateTrend:
    """The checkpoints of a run at one scale, by epoch, and what their rates say together."""

    lora_scale: float
    trend: Trend
    checkpoints: tuple[Tempo, ...]


def rate_trends(
    checkpoints: Sequence[Checkpoint], clips: Sequence[Clip], scores: Mapping[str, Sequence[Score]]
) -> tuple[RateTrend, ...]:
    """A trend for each scale at which the checkpoints were rendered."""
    rates = {clip.id: _rate(scores.get(clip.id, ())) for clip in clips}
    base: dict[Key, list[float]] = {}
    for clip in clips:
        if clip.candidate.is_base and math.isfinite(rates[clip.id]):
            base.setdefault(_key(clip), []).append(rates[clip.id])
    control = {key: statistics.fmean(found) for key, found in base.items()}
    scales = sorted({clip.candidate.lora_scale for clip in clips if not clip.candidate.is_base})
    return tuple(_at(scale, checkpoints, clips, rates, control) for scale in scales)


def _at(
    scale: float,
    checkpoints: Sequence[Checkpoint],
    clips: Sequence[Clip],
    rates: Mapping[str, float],
    control: Mapping[Key, float],
) -> RateTrend:
    own = {
        checkpoint.id: [
            clip
            for clip in clips
            if (clip.candidate.checkpoint_id, clip.candidate.lora_scale) == (checkpoint.id, scale)
            and math.isfinite(rates[clip.id])
        ]
        for checkpoint in checkpoints
    }
    there = sorted((checkpoint for checkpoint in checkpoints if own[checkpoint.id]), key=lambda c: (c.epoch, c.step))
    points = [(float(each.epoch), rates[clip.id]) for each in there for clip in own[each.id]]
    found = trend.rate_trend(points, [_key(clip) for each in there for clip in own[each.id]])
    tempos = [_of_base(own[each.id], rates, control) for each in there]
    return RateTrend(
        lora_scale=scale,
        trend=found,
        checkpoints=tuple(
            Tempo(
                checkpoint_id=each.id,
                epoch=each.epoch,
                of_base_percent=tempo,
                clips=len(own[each.id]),
                has_drifted=found.passed is False and _is_off(tempos[0], tempo, found.slope),
            )
            for each, tempo in zip(there, tempos, strict=True)
        ),
    )


def _is_off(first: float, tempo: float, slope: float) -> bool:
    """Whether a checkpoint is off the first one by 5 % or more, the way in which the run drifts; not without a base."""
    return 100.0 * (tempo / first - 1.0) * math.copysign(1.0, slope) >= trend.LEAST_PERCENT


def _of_base(clips: Sequence[Clip], rates: Mapping[str, float], control: Mapping[Key, float]) -> float:
    shares = [rates[clip.id] / control[_key(clip)] for clip in clips if control.get(_key(clip), 0.0) > 0]
    return 100.0 * statistics.fmean(shares) if shares else math.nan


def _rate(scores: Sequence[Score]) -> float:
    return next((score.value for score in scores if score.screener == RATE), math.nan)


def _key(clip: Clip) -> Key:
    return clip.line_id, clip.text, reference_of(clip)
