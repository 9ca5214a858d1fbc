"""How far a sweep is, and how long it will still take, by what it took so far.

Knows expected and measured seconds. Knows no studio and no disk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine import sweep
from engine.sweep_records import SweepRecord, SweepState
from engine.types import Clip

SCREEN_SEC = 0.05  # to screen a second of audio, until there is a sweep to learn from


@dataclass(frozen=True, kw_only=True)
class SweepView:
    """How a sweep stands now. `done` of `total` steps, two a clip; `left_sec` None while nobody can tell."""

    record: SweepRecord
    done: int
    total: int
    message: str
    left_sec: float | None


class Going:
    """A sweep that this process renders: what is asked of it, and how fast it is."""

    def __init__(self, record: SweepRecord) -> None:
        self.record = record
        self.job_id = ""
        self.wish: SweepState | None = None  # what it should be when it stops
        self.message = "waits for its turn"
        self.noted = 0.0
        self.done = 0
        self._to_render: dict[str, float] = {}  # expected seconds of audio, by the name of the file
        self._to_screen_sec = 0.0
        self._screen_pace = SCREEN_SEC
        self._render_pace = 0.0
        self._spent_sec = self._spoken_sec = 0.0

    def begin(self, plan: sweep.Plan, screen_pace: float) -> None:
        self._to_render = {job.key: sweep.expected_sec(job) for job in plan.missing}
        self._to_screen_sec = sum(sweep.expected_sec(job) for job in plan.jobs)
        expected = sum(self._to_render.values())
        self._render_pace = plan.estimate_sec / expected if expected else 0.0
        self._screen_pace = screen_pace

    def rendered(self, clip: Clip, spent_sec: float) -> None:
        self.done += 1
        expected = self._to_render.pop(clip.path.stem, 0.0)
        if expected:
            self._spent_sec += spent_sec
            self._spoken_sec += expected
            self._render_pace = self._spent_sec / self._spoken_sec
            record = self.record
            self.record = replace(record, rendered=record.rendered + 1, render_sec=record.render_sec + spent_sec)

    def screened(self, clip: Clip, spent_sec: float) -> None:
        self.done += 1
        self.message = "listening by measures"
        self._to_screen_sec = max(0.0, self._to_screen_sec - clip.duration_sec)
        record = self.record
        self.record = replace(
            record,
            screened=record.screened + 1,
            screen_sec=record.screen_sec + spent_sec,
            audio_sec=record.audio_sec + clip.duration_sec,
        )
        self._screen_pace = self.record.screen_sec / max(1e-9, self.record.audio_sec)

    def left_sec(self) -> float:
        return sum(self._to_render.values()) * self._render_pace + self._to_screen_sec * self._screen_pace
