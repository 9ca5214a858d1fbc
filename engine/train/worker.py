"""One trainer's life: take the run's lock, tell what happens, train, and say how it ended, whatever ended it.

Imports torch only once the lock is held, so that a launcher sees a living trainer at once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from engine import checkpoints, disk, lease, locks, monitors, run_config
from engine.runs import launcher
from engine.runs import record as run_record
from engine.runs.folder import RunFolder
from engine.train import faults, memory_limit, processes, state_files
from engine.train.control import Control, StopRequested
from engine.train.faults import Where
from engine.train.journal import Journal, Silence, heartbeat
from engine.types import Busy, EngineError, RunConfig
from engine.workspace import Workspace

log = logging.getLogger(__name__)

HEARTBEAT_SEC = 10.0
LOCK_PATIENCE_SEC = 5.0  # somebody who only looks whether the lock is held holds it for a moment


def work(
    run_dir: Path,
    *,
    clock: Callable[[], float] = time.time,
    free_bytes: Callable[[Path], int] = disk.free_bytes,
    heartbeat_sec: float = HEARTBEAT_SEC,
    poll_sec: float = 1.0,
) -> int:
    """Train the run in `run_dir` to its end; returns the exit status: 0 completed or stopped, else the fault's.

    Raises NotFound or BadInput for a folder that is no run of this version, Busy when it is being trained already;
    every later fault becomes the run's end event.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    record = run_record.read(run_dir)
    config = run_config.from_json(record["config"])
    folder = RunFolder(run_dir)
    with ExitStack() as stack:
        stack.enter_context(_hold(folder.lock, run_dir.name))
        launcher.must_be_current(run_dir, os.environ)
        checkpoints.remove_unfinished(run_dir)
        state_files.sweep(run_dir)
        journal = stack.enter_context(Journal(folder, clock, monitors.watch(config)))
        journal.say("note", state="starting", text="Loading the model")
        control = Control(folder, journal, free_bytes=free_bytes, poll_sec=poll_sec)
        stack.enter_context(control.signals())
        stack.enter_context(heartbeat(journal, heartbeat_sec))
        return _train(folder, record, config, journal, control, clock, stack)


def _train(
    folder: RunFolder,
    record: Mapping[str, Any],
    config: RunConfig,
    journal: Journal,
    control: Control,
    clock: Callable[[], float],
    stack: ExitStack,
) -> int:
    """What is entered into `stack` is held until the trainer has told its end."""
    where = Where()
    try:
        control.tell_waiting = stack.enter_context(_leased(folder, config, journal, control))
        with memory_limit.from_environment(), processes.sharing(folder.path, config) as world:
            from engine.train import loop, session

            prepared, state = session.prepare(
                folder, record, journal=journal, control=control, world=world, where=where
            )
            reason = loop.train(prepared, state, clock=clock)
    except StopRequested:
        reason = "stopped"
    except Exception as error:
        # Whatever it was, the page must learn of it: the end event is the only thing that tells a fault from a kill.
        log.exception("the training failed")
        status = error.exit_code if isinstance(error, EngineError) else 1
        fault = faults.diagnose(error, where, config)
        said = {"exit": status, "error": fault.explanation, "fault": fault.to_json(), "step": journal.progress.step}
        journal.say("end", reason="failed", **said)
        return status
    why = journal.stopping.text if journal.stopping and reason == "stopped" else ""
    if why:
        journal.say("note", text=f"Stopped as the run's settings say: {why}")
    journal.say("end", reason=reason, exit=0, error="", step=journal.progress.step)
    return 0


@contextmanager
def _leased(
    folder: RunFolder, config: RunConfig, journal: Journal, control: Control
) -> Iterator[Callable[[str], None]]:
    """The run's devices for the block. While somebody else has one, the run says for whom it waits and can be stopped.
    Yields what adds a word for those who wait for this run.

    Taken before torch is: two trainings that load at once on one card would both run out of its memory.
    """
    waited = []

    def say(sentence: str) -> None:
        waited.append(sentence)
        journal.say("note", state="starting", text=sentence)

    workspace, what = Workspace(folder.path.parent.parent), f"training {folder.path.name}"
    with lease.hold(workspace, lease.devices(config), what=what, on_wait=say, give_up=control.raise_if_stopped) as tell:
        if waited:
            journal.say("note", state="starting", text="Loading the model")
        yield lambda why: tell(f"{what}, {why}" if why else what)


def follow(run_dir: Path) -> int:
    """Share a training whose leader holds the run's lock; returns the exit status. Writes nothing."""
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s process {processes.rank()}: %(message)s")
    record = run_record.read(run_dir)
    config, folder, silence = run_config.from_json(record["config"]), RunFolder(run_dir), Silence()
    try:
        with memory_limit.from_environment(), processes.following(config) as world:
            from engine.train import loop, session

            control = Control(folder, silence)
            prepared, state = session.prepare(
                folder, record, journal=silence, control=control, world=world, where=Where()
            )
            loop.train(prepared, state, clock=time.time)
    except Exception as error:
        log.exception("process %d failed", processes.rank())
        return processes.exit_status(error)
    return 0


@contextmanager
def _hold(lock: Path, run_id: str) -> Iterator[None]:
    end = time.monotonic() + LOCK_PATIENCE_SEC
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locks.hold(lock, what=f"training {run_id}"))
                break
            except Busy:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield
