"""A sweep's scores as a grid: checkpoints down, scales across. What no screener could judge is kept apart from good.

Pure: takes clips and scores.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from engine.screeners import SCREENERS
from engine.screeners.heard import Better
from engine.types import Candidate, Checkpoint, Clip, Score


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A screener as a page offers it."""

    name: str
    title: str
    unit: str
    about: str


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """One candidate: the mean of a measure over its clips, and how many were flagged.

    `low` and `high` are over clips; `seed_low` and `seed_high` over the means of the seeds on the lines that all of
    them have, for one lucky take proves little: None with fewer than two. The screener cannot judge `unjudged` clips
    and has not heard `unscored` ones yet.
    """

    candidate: Candidate
    value: float | None
    low: float | None
    high: float | None
    flagged: int
    clip_ids: tuple[str, ...]
    seed_low: float | None = None
    seed_high: float | None = None
    seeds: int = 1
    unjudged: int = 0
    unscored: int = 0


@dataclass(frozen=True, kw_only=True)
class Grid:
    """`cells` maps (checkpoint id or None for the base, scale) to a cell; `others` are bases of other voices."""

    measure: str
    unit: str
    better: Better  # which way of the measure is good
    checkpoints: tuple[Checkpoint, ...]
    scales: tuple[float, ...]
    cells: Mapping[tuple[str | None, float], GridCell]
    others: tuple[GridCell, ...] = ()
    clips: tuple[Clip, ...] = ()


def grid(
    measure: str,
    checkpoints: Sequence[Checkpoint],
    voices: Collection[tuple[str, str]],
    clips: Sequence[Clip],
    scores: Mapping[str, Sequence[Score]],
) -> Grid:
    """The cells of these clips; `voices` (backend, voice) are those whose base is the control of the checkpoints."""
    by_candidate: dict[Candidate, list[Clip]] = {}
    for clip in clips:
        by_candidate.setdefault(clip.candidate, []).append(clip)
    made = [cell(candidate, own, scores, measure) for candidate, own in by_candidate.items()]
    is_other = [c.candidate.is_base and (c.candidate.backend, c.candidate.voice) not in voices for c in made]
    cells = {
        (c.candidate.checkpoint_id, c.candidate.lora_scale): c
        for c, other in zip(made, is_other, strict=True)
        if not other
    }
    units = {s.unit for own in scores.values() for s in own if s.screener == measure}
    return Grid(
        measure=measure,
        unit=units.pop() if units else "",
        better=SCREENERS[measure].better if measure in SCREENERS else "neither",
        checkpoints=tuple(checkpoints),
        scales=tuple(sorted({scale for _, scale in cells})),
        cells=cells,
        others=tuple(c for c, other in zip(made, is_other, strict=True) if other),
        clips=tuple(clips),
    )


def cell(candidate: Candidate, clips: Sequence[Clip], scores: Mapping[str, Sequence[Score]], measure: str) -> GridCell:
    """One candidate's clips as a cell."""
    own = [(clip, s) for clip in clips for s in scores.get(clip.id, ()) if s.screener == measure]
    judged = [(clip, s.value) for clip, s in own if not math.isnan(s.value)]
    values = [value for _, value in judged]
    means = _of_seeds(judged)
    several = len(means) > 1
    return GridCell(
        candidate=candidate,
        value=statistics.fmean(values) if values else None,
        low=min(values, default=None),
        high=max(values, default=None),
        flagged=sum(s.passed is False for _, s in own),
        clip_ids=tuple(clip.id for clip in clips),
        seed_low=min(means) if several else None,
        seed_high=max(means) if several else None,
        seeds=len({clip.seed for clip in clips}),
        unjudged=len(own) - len(judged),
        unscored=len(clips) - len(own),
    )


def _of_seeds(judged: Sequence[tuple[Clip, float]]) -> list[float]:
    """The mean of each seed, over the lines that all of them have spoken: lines must not pass for luck."""
    by_seed: dict[int, dict[object, float]] = {}
    for clip, value in judged:
        line = (clip.script_sha256, clip.line_id, clip.reference)
        by_seed.setdefault(clip.seed, {})[line] = value
    common = set.intersection(*(set(found) for found in by_seed.values())) if by_seed else set()
    return [statistics.fmean(found[line] for line in common) for found in by_seed.values()] if common else []
