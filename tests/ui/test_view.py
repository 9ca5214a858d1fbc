"""What records look like on a page: the pieces that several pages share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.jobs import JobState, JobView
from ui import view


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
        view.empty(bad, bad, (bad, bad)),
    ]
    for html in shown:
        assert "<script" not in html


JOB = JobView(
    id="sweep-001", kind="sweep", state=JobState.RUNNING, done=3, total=12, message="rendering", started_at=10.0
)


def test_a_job_tells_how_far_it_is_and_how_it_ended() -> None:
    """Running, done and failed are three different sentences."""
    assert "rendering: 3 of 12" in view.job_progress(JOB)
    assert "Done in 5 s" in view.job_progress(replace(JOB, state=JobState.DONE, ended_at=15.0))
    assert "em-bad" in view.job_progress(replace(JOB, state=JobState.FAILED, ended_at=15.0, error="No space."))
