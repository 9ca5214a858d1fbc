"""The runs that wait for their device, in the order in which they will start. It lies on disk and survives the app.

That a run waits follows from its own folder (`runs`); this file adds the order, in `queue.json`, replaced whole at
every change. A lost or damaged order is the order of creation, and no run is lost with it. Starts nothing; `scheduler`
does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from engine import durable, runs
from engine.runs import launcher, launches
from engine.runs.folder import RunFolder
from engine.types import BadInput, Busy, EngineError, Refused, Run, RunState
from engine.workspace import Workspace


class Queue:
    """The queue of a workspace. Safe to call from any thread of the one process that holds the workspace.

    `guard` is held while something is decided about a waiting run: it cannot be cancelled and started at once.
    """

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float]) -> None:
        self._workspace = workspace
        self._clock = clock
        self.guard = threading.RLock()

    def waiting(self) -> list[Run]:
        """The runs that wait, next first, with their positions."""
        found = []
        for record in self._workspace.runs.glob("*/run.json"):
            if not _may_wait(RunFolder(record.parent)):
                continue
            try:
                run = runs.get(record.parent, clock=self._clock)
            except EngineError:  # a damaged folder is on the list of runs with its reason; it cannot be started
                continue
            if run.state is RunState.QUEUED:
                found.append(run)
        return [run for run in self.arrange(found) if run.queue_position is not None]

    def arrange(self, listed: Iterable[Run]) -> list[Run]:
        """Runs with the positions of those that wait: these first, by position, then the others as they came."""
        listed = list(listed)
        ranks = {run_id: rank for rank, run_id in enumerate(self._order())}
        waiting = [run for run in listed if run.state is RunState.QUEUED]
        waiting.sort(key=lambda run: (ranks.get(run.id, len(ranks)), run.created_at, run.id))
        placed = [replace(run, queue_position=position) for position, run in enumerate(waiting, start=1)]
        return [*placed, *(run for run in listed if run.state is not RunState.QUEUED)]

    def add(self, run_dir: Path) -> None:
        """Put a run at the end. Raises Refused for one that is complete, Busy for one that is under way."""
        with self.guard:
            order = [run.id for run in self.waiting() if run.id != run_dir.name]
            # The order first: a run whose folder says that it waits then has its place, whenever this is cut short.
            self._write([*order, run_dir.name])
            enqueue(run_dir, clock=self._clock)

    def move(self, run_id: str, position: int) -> None:
        """Let a waiting run start as number `position`, 1 being next; a number beyond the end is the end.

        Raises Refused for a run that does not wait, BadInput for a position below 1.
        """
        if position < 1:
            raise BadInput(f"Positions in the queue begin with 1, not {position}.")
        with self.guard:
            order = [run.id for run in self.waiting()]
            _must_wait(run_id, order)
            order.remove(run_id)
            order.insert(position - 1, run_id)
            self._write(order)

    def cancel(self, run_id: str) -> None:
        """Take a waiting run out; its folder stays. Raises Refused for a run that does not wait."""
        with self.guard:
            order = [run.id for run in self.waiting()]
            _must_wait(run_id, order)
            launcher.stop(self._workspace.runs / run_id)
            order.remove(run_id)
            self._write(order)

    def _order(self) -> Sequence[str]:
        try:
            told = json.loads(self._workspace.queue.read_text(encoding="utf-8"))
            return [str(run_id) for run_id in told["runs"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _write(self, order: Sequence[str]) -> None:
        durable.write_bytes(self._workspace.queue, (json.dumps({"runs": list(order)}, indent=1) + "\n").encode())


def _may_wait(folder: RunFolder) -> bool:
    """A cheap look, so that a hundred finished runs cost nothing: it was queued, or has never been heard of."""
    return folder.queued.exists() or not folder.events.exists()


def _must_wait(run_id: str, order: Sequence[str]) -> None:
    if run_id not in order:
        raise Refused(f"{run_id} does not wait in the queue; waiting are: {', '.join(order) or 'none'}.")


def enqueue(run_dir: Path, *, clock: Callable[[], float]) -> None:
    """Let a new run, or one that is over and not complete, wait for its device.

    Raises Refused for a complete run, Busy for one that is under way. What waits already keeps waiting.
    """
    run = runs.get(run_dir)
    _must_not_be_done(run)
    folder = RunFolder(run_dir)
    for past in (folder.stop_flag, folder.launched, folder.exited):
        past.unlink(missing_ok=True)
    launches.write(folder.queued, at=clock(), after_seq=runs.read_progress(run_dir).last_seq)


def _must_not_be_done(run: Run) -> None:
    if run.state is RunState.COMPLETED:
        raise Refused(f"{run.id} is complete; start a new run with more epochs instead.")
    if not run.state.is_over and run.state is not RunState.QUEUED:
        raise Busy(f"{run.id} is {run.state}; stop it first.")
