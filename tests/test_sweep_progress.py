"""How long a sweep will still take: the figure falls while it works, and what lay ready does not make it look fast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from engine import segmentation, sweep, sweep_records
from engine.sweep_progress import Going
from engine.sweep_records import SweepRecord, SweepState
from engine.types import Clip, SpeakRow
from tests.fake_host import FakeHost
from tests.test_sweep import planned, request

SCREEN_PACE = 0.1


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def started(plan: sweep.Plan, clock: Clock) -> Going:
    record = SweepRecord(
        id=sweep_records.new_id(Path("nowhere")), request=plan.request, state=SweepState.RUNNING, by="Ada", run_id="",
        created_at=1.0, changed_at=1.0, clips=len(plan.jobs),
    )  # fmt: skip
    going = Going(record, clock)
    going.begin(plan, SCREEN_PACE)
    return going


def rendered(plan: sweep.Plan, clips: Path, going: Going, clock: Clock) -> list[float | None]:
    """Render in batches of two rows, two seconds for one of speech; what was told to be left after each batch."""
    told: list[float | None] = []

    def spoke(rows: Sequence[SpeakRow], spent_sec: float) -> None:
        took = 2.0 * sum(segmentation.expected_sec(row.text) for row in rows)
        clock.now += took
        going.spoke(rows, took)
        told.append(going.left_sec())

    for clip in sweep.render(plan, host=FakeHost(), clips=clips, batch_rows=2, spoke=spoke, now=lambda: 1.0):  # type: ignore[arg-type]
        going.has(clip, screened=False)
    return told


def test_what_is_left_falls_with_every_batch(tmp_path: Path) -> None:
    """Also while no clip is complete: chunks of long clips come first, and their clips last."""
    plan, clock = planned(tmp_path), Clock()
    going = started(plan, clock)
    told = rendered(plan, tmp_path, going, clock)
    assert len(told) > len(plan.jobs) / 2
    assert told == sorted(set(told), reverse=True)
    screening = told[-1]
    assert screening == pytest.approx(SCREEN_PACE * plan.audio_sec, rel=0.05), "nothing is left to speak"
    assert going.record.render_sec == pytest.approx(clock.now - 100.0)
    assert (going.done, going.record.rendered) == (len(plan.jobs), len(plan.jobs))


def test_what_is_left_falls_within_a_batch_and_stands_while_the_sweep_waits(tmp_path: Path) -> None:
    """A batch of a large voice takes minutes: the figure goes down meanwhile, and what is overdue has none."""
    plan, clock = planned(tmp_path), Clock()
    going = started(plan, clock)
    before = going.left_sec()
    assert before is not None
    clock.now += 50.0
    assert going.left_sec() == before, "it waits for its device"
    going.speaks()
    clock.now += plan.estimate_sec / 2
    assert going.left_sec() == pytest.approx(before - plan.estimate_sec / 2)
    clock.now += 1000 * plan.estimate_sec
    assert going.left_sec() is None


def test_what_was_screened_before_teaches_no_pace(tmp_path: Path) -> None:
    """Clips whose scores are known take no time, and those that are new still take theirs."""
    plan, clock = planned(tmp_path), Clock()
    first = started(plan, clock)
    rendered(plan, tmp_path, first, clock)
    wider = planned(tmp_path, request(seeds=(42, 43)))
    going = started(wider, clock)
    rendered(wider, tmp_path, going, clock)
    fresh: list[Clip] = []
    ready = {clip.id for clip in sweep.cached(plan, tmp_path)}
    for clip in sweep.cached(wider, tmp_path):
        if clip.id in ready:
            going.screened(clip, 0.0, fresh=False)
        else:
            fresh.append(clip)
    assert going.record.screened == 0
    last = fresh.pop()
    for clip in fresh:
        going.screened(clip, 2.0 * clip.duration_sec, fresh=True)
    all_ready_sec = sum(clip.duration_sec for clip in sweep.cached(plan, tmp_path))  # not screened in this sweep
    assert going.left_sec() == pytest.approx(2.0 * (last.duration_sec + all_ready_sec), rel=0.01)
