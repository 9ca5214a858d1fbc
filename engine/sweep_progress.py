"""How far a sweep is, and how long it will still take, by what it took so far and by what goes on at this moment.

Knows expected and measured seconds. Knows no studio and no disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine import segmentation, sweep
from engine.sweep_records import SweepRecord, SweepState
from engine.types import Clip, SpeakRow

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
    """A sweep that this process renders: what is asked of it, and how fast it is.

    What is left counts down batch by batch, not clip by clip: a long clip is complete only with its last chunk.
    """

    def __init__(self, record: SweepRecord, clock: Callable[[], float] = time.monotonic) -> None:
        self.record = record
        self.job_id = ""
        self.wish: SweepState | None = None  # what it should be when it stops
        self.message = "waits for its turn"
        self.noted = 0.0
        self.done = 0
        self._clock = clock
        self._since: float | None = None  # when what goes on now began; None while it waits
        self._missing: dict[str, float] = {}  # expected seconds of audio, by key
        self._ready: frozenset[str] = frozenset()  # keys
        self._to_speak_sec = self._spoken_sec = self._spent_sec = 0.0
        self._to_screen_sec = 0.0
        self._speak_pace, self._screen_pace = 0.0, SCREEN_SEC

    def begin(self, plan: sweep.Plan, screen_pace: float) -> None:
        """Take what `plan` says is missing; `screen_pace` is seconds for a second of audio."""
        self._missing = {job.key: sweep.expected_sec(job) for job in plan.missing}
        self._ready = plan.cached
        self._to_speak_sec = sum(_expected_sec(job.rows) for job in plan.missing)
        self._to_screen_sec = sum(sweep.expected_sec(job) for job in plan.jobs if job.key not in plan.cached)
        self._speak_pace = plan.estimate_sec / self._to_speak_sec if self._to_speak_sec else 0.0
        self._screen_pace = screen_pace

    def speaks(self) -> None:
        """The voice is loaded and the device is held: time runs from here."""
        self._since = self._clock()
        self.message = "rendering"

    def spoke(self, rows: Sequence[SpeakRow], spent_sec: float) -> None:
        """A batch was spoken."""
        expected = _expected_sec(rows)
        self._since = self._clock()
        self._to_speak_sec = max(0.0, self._to_speak_sec - expected)
        self._spoken_sec += expected
        self._spent_sec += spent_sec
        self._speak_pace = self._spent_sec / max(1e-9, self._spoken_sec)
        self.record = replace(self.record, render_sec=self.record.render_sec + spent_sec)

    def has(self, clip: Clip, *, screened: bool) -> None:
        """A clip is there: it lay ready, perhaps `screened` too, or is complete now."""
        self.done += 1
        expected = self._missing.pop(clip.path.stem, None)
        if expected is not None:
            self.record = replace(self.record, rendered=self.record.rendered + 1)
            self._to_screen_sec += clip.duration_sec - expected
        elif not screened and clip.path.stem in self._ready:
            self._to_screen_sec += clip.duration_sec

    def screened(self, clip: Clip, spent_sec: float, *, fresh: bool) -> None:
        """A clip was screened; not `fresh` when its scores were known, which teaches no pace."""
        self.done += 1
        self.message = "listening by measures"
        self._since = self._clock()
        if not fresh:
            return
        self._to_screen_sec = max(0.0, self._to_screen_sec - clip.duration_sec)
        record = self.record
        self.record = replace(
            record,
            screened=record.screened + 1,
            screen_sec=record.screen_sec + spent_sec,
            audio_sec=record.audio_sec + clip.duration_sec,
        )
        self._screen_pace = self.record.screen_sec / max(1e-9, self.record.audio_sec)

    def left_sec(self) -> float | None:
        """Seconds until the end; what goes on now has taken its part already. None once that takes longer than all of
        it was expected to: then nobody can tell.
        """
        speaking = self._to_speak_sec * self._speak_pace
        screening = max(0.0, self._to_screen_sec) * self._screen_pace
        gone = self._clock() - self._since if self._since is not None else 0.0
        at_work, later = (speaking, screening) if speaking else (screening, 0.0)
        return at_work - gone + later if gone <= at_work else None


def _expected_sec(rows: Sequence[SpeakRow]) -> float:
    return sum(segmentation.expected_sec(row.text) for row in rows)
