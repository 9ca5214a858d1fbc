"""Starts the next waiting run as soon as its devices are free. A thread of the app; runs go on without it.

Everything it goes by lies on disk (the queue, the locks, the leases), so that another app that opens the workspace goes
on where this one ended: a trainer that lives is seen by its lease, and a run is started by nobody twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from engine import lease, locks, runs
from engine.runs import state
from engine.runs.folder import RunFolder
from engine.runs.queue import Queue
from engine.types import EngineError, Run, RunState
from engine.workspace import Workspace

log = logging.getLogger(__name__)

POLL_SEC = 1.0


class Scheduler:
    """`launch` starts a run's trainer and returns; `before` is told each run that is about to start."""

    def __init__(
        self,
        workspace: Workspace,
        queue: Queue,
        *,
        launch: Callable[[Path], None],
        before: Callable[[Run], None] | None = None,
        clock: Callable[[], float],
        poll_sec: float = POLL_SEC,
    ) -> None:
        self._workspace = workspace
        self._queue = queue
        self._launch = launch
        self._before = before
        self._clock = clock
        self._poll_sec = poll_sec
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch the queue from now on; does nothing when it is being watched already."""
        with self._queue.guard:
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._watch, name="queue", daemon=True)
                self._thread.start()
        self.wake()

    def wake(self) -> None:
        """Look at once: a run was queued."""
        self._wake.set()

    def close(self) -> None:
        """Start nothing any more. Trainings go on, and what waits is on disk."""
        self._closing.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def tick(self) -> list[str]:
        """Start every waiting run whose devices are free, in order; returns their ids.

        A run that waits for a device keeps those behind it from that device. One that cannot be started is said to be
        lost by its folder, and the next one has its turn.
        """
        started = []
        with self._queue.guard:
            if self._closing.is_set():
                return []
            waiting = self._queue.waiting()
            taken = set(self._coming_up()) if waiting else set()
            for run in waiting:
                wanted = set(lease.devices(run.config))
                if not wanted & taken and not any(lease.holder(self._workspace, name) for name in wanted):
                    if self._started(run):
                        started.append(run.id)
                    else:
                        continue
                taken |= wanted
        return started

    def reason(self, run: Run) -> str:
        """Why a waiting run has not started: 'Waits for cpu: training robin-1'; empty when it is about to start."""
        for name in lease.devices(run.config):
            if who := lease.holder(self._workspace, name):
                return f"{lease.WAITS}{name}: {who}"
        return ""

    def _started(self, run: Run) -> bool:
        try:
            if self._before is not None:
                self._before(run)
            self._launch(run.path)
        except (EngineError, OSError) as error:
            log.warning("%s was not started: %s", run.id, error)
            return False
        return True

    def _coming_up(self) -> Iterator[str]:
        """Devices of trainers that were launched and have not taken their lease yet."""
        for path in self._workspace.runs.glob("*/control/launched.json"):
            run_dir = path.parent.parent
            is_old = self._clock() - path.stat().st_mtime > state.START_GRACE_SEC
            if is_old and not locks.is_held(RunFolder(run_dir).lock):  # most runs of a workspace: over long ago
                continue
            try:
                run = runs.get(run_dir, clock=self._clock)
            except EngineError:
                continue
            if not run.state.is_over and run.state is not RunState.QUEUED:
                yield from lease.devices(run.config)

    def _watch(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            try:
                self.tick()
                waits = bool(self._queue.waiting())
            except Exception:  # a full disk or a folder that vanished: the queue is looked at again, never given up
                log.exception("the queue could not be looked at")
                waits = True
            # Nothing waits: only this process can queue something, and it wakes this thread.
            self._wake.wait(self._poll_sec if waits else None)
