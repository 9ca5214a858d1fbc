"""Tiers by measured durations: how long a line turned out with a voice decides which tier it can stand for.

Pure. The durations are those of the voice's base clips of a line (the control, all seeds), never a candidate's own: a
candidate that drops half of the long line would otherwise be excused from the long tier.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.types import Clip, Tier

# From how long on a clip is of a tier, in seconds: about 5 s, about 15 s, 30 s and more.
BEGINS_SEC: Mapping[Tier, float] = {Tier.SHORT: 0.0, Tier.MEDIUM: 10.0, Tier.LONG: 30.0}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How a line stands to its tier. `measured` None: nothing was rendered yet. `sentence` says it for people."""

    line_id: str
    tier: Tier
    measured: Tier | None
    median_sec: float
    sentence: str

    @property
    def counts(self) -> bool:
        """Whether the line may count for its tier in a gate: it reaches it, or nobody knows yet."""
        return self.measured is None or self.median_sec >= BEGINS_SEC[self.tier]


def measured_tier(durations_sec: Iterable[float]) -> Tier | None:
    """The tier that clips of these lengths are of, by their median; None without any."""
    lengths = list(durations_sec)
    if not lengths:
        return None
    median = statistics.median(lengths)
    return next(tier for tier in reversed(tuple(Tier)) if median >= BEGINS_SEC[tier])


def fit(line_id: str, tier: Tier, durations_sec: Iterable[float]) -> Fit:
    """How a line that a script puts into `tier` stands to it, from the lengths of the base's clips of it."""
    lengths = list(durations_sec)
    measured = measured_tier(lengths)
    median = statistics.median(lengths) if lengths else math.nan
    return Fit(
        line_id=line_id, tier=tier, measured=measured, median_sec=median, sentence=_sentence(tier, measured, median)
    )


def fits(clips: Iterable[Clip]) -> dict[str, Fit]:
    """The fit of every line, by its id, from rendered clips of one voice; clips of candidates are left out."""
    lengths: dict[str, list[float]] = {}
    tiers: dict[str, Tier] = {}
    for clip in clips:
        if clip.candidate.is_base:
            lengths.setdefault(clip.line_id, []).append(clip.duration_sec)
            tiers[clip.line_id] = clip.tier
    return {line_id: fit(line_id, tiers[line_id], found) for line_id, found in lengths.items()}


def _sentence(tier: Tier, measured: Tier | None, median_sec: float) -> str:
    if measured is None:
        return f"not rendered yet: the script puts it into the {tier} tier"
    if median_sec < BEGINS_SEC[tier]:
        return (
            f"{median_sec:.1f} s with this voice: too short for the {tier} tier ({BEGINS_SEC[tier]:g} s and more), "
            f"it is a {measured} line"
        )
    if measured is not tier:
        return f"{median_sec:.1f} s with this voice: long for the {tier} tier, it is a {measured} line"
    return f"{median_sec:.1f} s with this voice: a {tier} line"
