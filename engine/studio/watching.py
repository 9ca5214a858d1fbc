"""Use cases about runs that change nothing: how they stand, what they told, what they made, why one failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from engine import checkpoints, events, runs
from engine.runs import failures
from engine.runs.folder import RunFolder
from engine.runs.queue import Queue
from engine.studio.data_desk import DataDesk
from engine.types import Busy, Checkpoint, Event, Failure, NotFound, Run, RunState, Series
from engine.workspace import Workspace

LOG_TAIL_BYTES = 20_000


class Watching(DataDesk):
    """Runs as their folders tell them. Disk is the truth; nothing is cached."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._queue = Queue(workspace, clock=clock)

    def runs(self) -> list[Run]:
        """All runs of the workspace, newest first; those that wait have their position in the queue."""
        placed = {run.id: run for run in self._queue.arrange(runs.listing(self.workspace.runs))}
        return sorted(placed.values(), key=lambda run: run.created_at, reverse=True)

    def run(self, run_id: str) -> Run:
        """One run as its folder tells it now."""
        found = runs.get(self._run_folder(run_id))
        if found.state is not RunState.QUEUED:
            return found
        return next((run for run in self._queue.waiting() if run.id == run_id), found)

    def wait_run(self, run_id: str, *, timeout_sec: float, poll_sec: float = 0.2) -> Run:
        """Wait until a run is over; raises Busy when it is not within the time."""
        end = time.monotonic() + timeout_sec
        while not (run := self.run(run_id)).state.is_over:
            if time.monotonic() > end:
                raise Busy(f"{run_id} is still {run.state} after {timeout_sec:g} s; it goes on by itself.")
            time.sleep(poll_sec)
        return run

    def series(self, run_id: str) -> Series:
        """The curves of a run, with alerts and checkpoints as marks on them."""
        return runs.series(self._run_folder(run_id))

    def events(self, run_id: str, after_seq: int = -1) -> list[Event]:
        """What a run told since an event."""
        return runs.events(self._run_folder(run_id), after_seq)

    def news(self, run_id: str, offset: int = 0) -> tuple[list[Event], int]:
        """The events that were written from a byte offset on, and the offset to ask from next: for who looks often."""
        return events.read_from(RunFolder(self._run_folder(run_id)).events, offset)

    def log_tail(self, run_id: str) -> str:
        """The end of the trainer's own output."""
        log = self._run_folder(run_id) / "train.log"
        if not log.exists():
            return ""
        return log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", errors="replace")

    def failure(self, run_id: str) -> Failure | None:
        """The failure card of a run that failed or is lost; None for any other."""
        return failures.failure(self._run_folder(run_id))

    def checkpoints(self, run_id: str | None = None) -> list[Checkpoint]:
        """The complete checkpoints of one run or of all, by run and step."""
        folders = [self._run_folder(run_id)] if run_id else [r.path for r in self.runs()]
        return [c for folder in folders for c in checkpoints.listing(folder)]

    def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        """One checkpoint. Raises NotFound when it is not on disk, saying where it may be."""
        run_id = checkpoint_id.partition("@")[0]
        for found in self.checkpoints(run_id):
            if found.id == checkpoint_id:
                return found
        raise NotFound(f"There is no checkpoint {checkpoint_id!r}; it may be in the trash (Gate page, undo).")

    def _run_folder(self, run_id: str) -> Path:
        folder = self.workspace.runs / run_id
        if not run_id or Path(run_id).name != run_id or not (folder / "run.json").exists():
            known = ", ".join(sorted(p.name for p in self.workspace.runs.iterdir())) or "none yet"
            raise NotFound(f"There is no run {run_id!r}; there are: {known}.")
        return folder
