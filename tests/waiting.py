"""Waiting for what happens in another thread or process, for two minutes at most: a busy machine is slow."""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.jobs import JobState
from engine.studio import Studio
from engine.types import EngineError

PATIENCE_SEC = 120.0


def wait_until(done: Callable[[], bool]) -> None:
    """Look again and again; fails when it never comes."""
    end = time.monotonic() + PATIENCE_SEC
    while not done():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def job_result(studio: Studio, job: str) -> str:
    """The id of what a job makes, once it is done. Raises EngineError with what a failed one says."""
    wait_until(lambda: studio.job(job).state is not JobState.RUNNING)
    view = studio.job(job)
    if view.state is not JobState.DONE:
        raise EngineError(view.error)
    return studio.job_result(job)
