"""Jobs: progress, errors and cancelling of long work inside the app."""

from __future__ import annotations

import threading

import pytest

from engine.jobs import Jobs, JobState, Report
from engine.types import BadInput, NotFound


def _ended(jobs: Jobs, job_id: str) -> None:
    for _, thread in list(jobs._running.values()):
        thread.join(5)
    assert jobs.view(job_id).ended_at is not None


def test_a_job_tells_its_progress_and_its_end() -> None:
    """The last progress that the work told is what the view shows when it is done."""
    jobs = Jobs(clock=lambda: 7.0)

    def work(report: Report) -> None:
        report(3, 3, "three of three")

    job_id = jobs.start("sweep", work)
    _ended(jobs, job_id)
    view = jobs.view(job_id)
    assert (view.state, view.done, view.total, view.message) == (JobState.DONE, 3, 3, "three of three")


def test_an_error_reaches_the_view_in_its_own_words() -> None:
    """A job that fails says why; it never stays running."""
    jobs = Jobs(clock=lambda: 0.0)

    def work(report: Report) -> None:
        raise BadInput("Row 3 has no text.")

    job_id = jobs.start("sweep", work)
    _ended(jobs, job_id)
    assert jobs.view(job_id).state is JobState.FAILED
    assert jobs.view(job_id).error == "Row 3 has no text."


def test_cancelling_is_seen_by_the_work() -> None:
    """Cancel is a request that the work sees at its next step, and the view says that it was cancelled."""
    jobs = Jobs(clock=lambda: 0.0)
    started = threading.Event()

    def work(report: Report) -> None:
        started.set()
        while not report.cancelled():
            threading.Event().wait(0.01)

    job_id = jobs.start("sweep", work)
    started.wait(5)
    jobs.cancel(job_id)
    _ended(jobs, job_id)
    assert jobs.view(job_id).state is JobState.CANCELLED


def test_work_that_stops_by_an_error_was_cancelled_all_the_same() -> None:
    """An error that answers a cancel is no failure."""
    jobs = Jobs(clock=lambda: 0.0)
    started = threading.Event()

    def work(report: Report) -> None:
        started.set()
        while not report.cancelled():
            threading.Event().wait(0.01)
        raise BadInput("Stopped before the end.")

    job_id = jobs.start("audit", work)
    started.wait(5)
    jobs.cancel(job_id)
    _ended(jobs, job_id)
    assert jobs.view(job_id).state is JobState.CANCELLED


def test_an_unknown_job_is_named() -> None:
    """Asking for a job that is not there names it."""
    with pytest.raises(NotFound, match="sweep-042"):
        Jobs(clock=lambda: 0.0).view("sweep-042")
