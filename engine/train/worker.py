"""One trainer's life: take the run's lock, tell what happens, train, and say how it ended, whatever ended it.

Imports torch only once the lock is held, so that a launcher sees a living trainer at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from engine import checkpoints, disk, locks, runs
from engine.run_folder import RunFolder
from engine.train import faults
from engine.train.control import Control, StopRequested
from engine.train.journal import Journal, heartbeat
from engine.types import Busy, EngineError

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
    record = runs.read_record(run_dir)
    folder = RunFolder(run_dir)
    with ExitStack() as stack:
        stack.enter_context(_hold(folder.lock, run_dir.name))
        checkpoints.remove_unfinished(run_dir)
        journal = stack.enter_context(Journal(folder, clock))
        journal.say("note", state="starting", text="Loading the model")
        control = Control(folder, journal, free_bytes=free_bytes, poll_sec=poll_sec)
        stack.enter_context(control.signals())
        stack.enter_context(heartbeat(journal, heartbeat_sec))
        return _train(folder, record, journal, control, clock)


def _train(
    folder: RunFolder, record: Mapping[str, Any], journal: Journal, control: Control, clock: Callable[[], float]
) -> int:
    begin: int | None = None
    try:
        from engine.train import loop, session

        prepared, state = session.prepare(folder, record, journal, control)
        begin = state.step
        reason = loop.train(prepared, state, clock=clock)
    except StopRequested:
        reason = "stopped"
    except Exception as error:
        # Whatever it was, the page must learn of it: the end event is the only thing that tells a fault from a kill.
        log.exception("the training failed")
        done = None if begin is None else journal.progress.step - begin
        status = error.exit_code if isinstance(error, EngineError) else 1
        sentence = faults.explain(error, steps_done=done)
        journal.say("end", reason="failed", exit=status, error=sentence, step=journal.progress.step)
        return status
    journal.say("end", reason=reason, exit=0, error="", step=journal.progress.step)
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
