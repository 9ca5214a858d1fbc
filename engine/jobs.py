"""Long work inside the app: a thread a job, with progress, an error and a way to cancel it.

Knows nothing of what the work is. Jobs live as long as the process; what they made lies on disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from engine.types import EngineError, NotFound

log = logging.getLogger(__name__)


class JobState(StrEnum):
    """Where a job stands; all but *running* are for good."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class JobView:
    """How a job stands. `total` is 0 while it is unknown."""

    id: str
    kind: str
    state: JobState
    done: int
    total: int
    message: str
    started_at: float
    ended_at: float | None = None
    error: str = ""


class Report:
    """What the work gets: a place to tell its progress and to ask whether it should stop."""

    def __init__(self, tell: Callable[[int, int, str], None], cancel: threading.Event) -> None:
        self._tell = tell
        self._cancel = cancel

    def __call__(self, done: int, total: int, message: str = "") -> None:
        self._tell(done, total, message)

    def cancelled(self) -> bool:
        """Whether somebody asked the work to stop."""
        return self._cancel.is_set()


class Jobs:
    """The jobs of one process. Safe to call from any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._guard = threading.Lock()  # protects the two tables below
        self._views: dict[str, JobView] = {}
        self._running: dict[str, tuple[threading.Event, threading.Thread]] = {}

    def start(self, kind: str, work: Callable[[Report], None]) -> str:
        """Run `work` in a thread; returns the job's id."""
        cancel = threading.Event()
        with self._guard:
            job_id = f"{kind}-{len(self._views) + 1:03d}"
            self._views[job_id] = JobView(
                id=job_id, kind=kind, state=JobState.RUNNING, done=0, total=0, message="", started_at=self._clock()
            )
            thread = threading.Thread(target=self._run, args=(job_id, work, cancel), name=job_id, daemon=True)
            self._running[job_id] = (cancel, thread)
        thread.start()
        return job_id

    def view(self, job_id: str) -> JobView:
        """How a job stands. Raises NotFound."""
        with self._guard:
            if job_id not in self._views:
                raise NotFound(f"There is no job {job_id!r}; jobs end with the app that started them.")
            return self._views[job_id]

    def views(self) -> list[JobView]:
        """All jobs, newest first."""
        with self._guard:
            return list(self._views.values())[::-1]

    def cancel(self, job_id: str) -> None:
        """Ask a job to stop at its next step; what it finished stays."""
        self.view(job_id)
        running = self._running.get(job_id)
        if running is not None:
            running[0].set()

    def close(self, timeout_sec: float = 10.0) -> None:
        """Cancel everything and wait for the threads."""
        with self._guard:
            running = list(self._running.values())
        for cancel, _ in running:
            cancel.set()
        for _, thread in running:
            thread.join(timeout_sec)

    def _run(self, job_id: str, work: Callable[[Report], None], cancel: threading.Event) -> None:
        def tell(done: int, total: int, message: str) -> None:
            self._change(job_id, done=done, total=total, message=message)

        try:
            work(Report(tell, cancel))
        except EngineError as error:
            # Work that was told to stop may say so by an error: that is no failure.
            state = JobState.CANCELLED if cancel.is_set() else JobState.FAILED
            self._change(job_id, state=state, error=str(error))
        except Exception as error:  # the page must learn of any fault, or it would wait for ever
            log.exception("job %s failed", job_id)
            self._change(job_id, state=JobState.FAILED, error=f"{type(error).__name__}: {error}")
        else:
            self._change(job_id, state=JobState.CANCELLED if cancel.is_set() else JobState.DONE)
        finally:
            self._change(job_id, ended_at=self._clock())
            with self._guard:
                self._running.pop(job_id, None)

    def _change(self, job_id: str, **changes: object) -> None:
        with self._guard:
            self._views[job_id] = replace(self._views[job_id], **changes)  # type: ignore[arg-type]
