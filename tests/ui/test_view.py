"""What records look like on a page: Runs and the common pieces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.jobs import JobState, JobView
from engine.types import Retained, Run, RunConfig, RunState
from tests.ui.fake_studio import FakeStudio
from ui import view

RUN = Run(id="robin-001", path=Path("runs/robin-001"), config=RunConfig(name="robin", dataset="d", epochs=4),
          state=RunState.RUNNING, created_at=0.0, format_version=1, step=30, total_steps=120, epoch=1)  # fmt: skip


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_240_000, "1.2 MB"), (16_600_000, "16.6 MB"), (3e9, "3.0 GB")],
)
def test_sizes_are_told_as_people_read_them(count: float, told: str) -> None:
    """Bytes in decimal units with one digit."""
    assert view.size(count) == told


@pytest.mark.parametrize(("seconds", "told"), [(0.4, "0 s"), (59, "59 s"), (130, "2 min 10 s"), (7260, "2 h 1 min")])
def test_durations_are_told_as_people_read_them(seconds: float, told: str) -> None:
    """No page shows 7260 seconds."""
    assert view.duration(seconds) == told


@pytest.mark.parametrize("shape", ["pass", "fail", "wait", "none"])
def test_a_state_is_never_colour_alone(shape: str) -> None:
    """Every state has a class whose shape the style sheet draws, and a word."""
    css = (Path(__file__).parents[2] / "assets" / "ui" / "earmark.css").read_text(encoding="utf-8")
    assert f".em-{shape}::before" in css
    assert view.state(shape, "a word") == f'<span class="em-state em-{shape}">a word</span>'


def test_what_people_wrote_is_escaped() -> None:
    """A name, a path or a text can hold anything; on the page it is text."""
    bad = "<script>alert(1)</script>"
    shown = [
        view.title(bad),
        view.notice(bad),
        view.facts([(bad, bad)]),
        view.run_summary(replace(RUN, id=bad, error=bad)),
        view.run_preview(replace(RUN.config, name=bad), Path("home")),
        view.failure_log(bad),
        view.empty(bad, bad, (bad, bad)),
    ]
    for html in shown:
        assert "<script" not in html


def test_a_moving_run_shows_its_progress_and_that_closing_is_safe() -> None:
    """Who watches a run learns how far it is and that the page is only a window."""
    told = view.run_summary(replace(RUN, eta_sec=75.0))
    assert 'aria-valuenow="30"' in told
    assert "closing this page changes nothing" in told
    assert "1 min 15 s" in told


@pytest.mark.parametrize("state", [s for s in RunState if s.is_over])
def test_a_run_that_is_over_shows_no_progress(state: RunState) -> None:
    """A bar that will never move again is not shown."""
    assert "progressbar" not in view.run_summary(replace(RUN, state=state))


def test_the_command_of_a_run_is_what_differs_from_the_defaults() -> None:
    """The shown command starts the same run from a terminal, and quotes what a shell would split."""
    config = RunConfig(name="two words", dataset="d", parts=("lm",), learning_rate=0.002)
    told = view.run_command(config, Path("/data/home"))
    assert told == (
        "python -m engine train --home /data/home --name 'two words' --dataset d --parts lm --learning-rate 0.002"
    )


def test_a_checkpoint_that_nothing_keeps_is_marked(studio: FakeStudio) -> None:
    """What may go stands out; what stays says why."""
    studio.start_run(RunConfig(dataset="d"))
    first, second, *_ = studio.checkpoints()
    kept = {
        first.id: Retained(checkpoint_id=first.id, keep=False, reasons=("every candidate of it failed",), bytes=1),
        second.id: Retained(checkpoint_id=second.id, keep=True, reasons=("passed at 0.3",), bytes=1),
    }
    told = view.checkpoints([first, second], kept)
    assert told.count("em-fail") == 1
    assert "passed at 0.3" in told


JOB = JobView(
    id="sweep-001", kind="sweep", state=JobState.RUNNING, done=3, total=12, message="rendering", started_at=10.0
)


def test_a_job_tells_how_far_it_is_and_how_it_ended() -> None:
    """Running, done and failed are three different sentences."""
    assert "rendering: 3 of 12" in view.job_progress(JOB)
    assert "Done in 5 s" in view.job_progress(replace(JOB, state=JobState.DONE, ended_at=15.0))
    assert "em-bad" in view.job_progress(replace(JOB, state=JobState.FAILED, ended_at=15.0, error="No space."))
