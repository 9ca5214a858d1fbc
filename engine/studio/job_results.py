"""Jobs that make something: started in a thread, told by their progress, and what they made, by its id.

Knows threads, progress and cancelling. Knows nothing of what is made.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.jobs import Report
from engine.studio.environments_desk import EnvironmentsDesk
from engine.types import NotFound, Refused
from engine.workspace import Workspace


class _Stopped(Exception):
    """A job was cancelled in the middle."""


class JobResults(EnvironmentsDesk):
    """What a page asks once its job is done."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._made: dict[str, dict[str, str]] = {}  # what each job made, under "id" once it is done

    def job_result(self, job_id: str) -> str:
        """The id of what a finished job made. Raises NotFound before that, and for a job that made nothing."""
        self.job(job_id)
        if "id" not in self._made.get(job_id, {}):
            raise NotFound(f"{job_id} has made nothing (yet).")
        return self._made[job_id]["id"]

    def _start(self, kind: str, work: Callable[[Report], str]) -> str:
        """Start a job whose result is the id that `work` returns; returns the job's own id."""
        made: dict[str, str] = {}

        def run(report: Report) -> None:
            try:
                made["id"] = work(report)
            except (_Stopped, Refused):
                if not report.cancelled():
                    raise

        job_id = self._jobs.start(kind, run)
        self._made[job_id] = made
        return job_id


def going_on(report: Report) -> Callable[[int, int, str], None]:
    """Progress that ends the work once its job is cancelled."""

    def tell(done: int, total: int, message: str) -> None:
        if report.cancelled():
            raise _Stopped
        report(done, total, message)

    return tell
