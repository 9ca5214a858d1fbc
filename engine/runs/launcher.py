"""Trainers as processes of their own (`python -m engine.train RUN_DIR`): launched, stopped, killed, never waited for.

Closing the app changes nothing for a trainer that runs. Knows nothing of training, and nothing of who may start next:
that is `engine.runs.queue`'s and `engine.runs.scheduler`'s.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from engine import durable, environments, locks, runs
from engine.backends.serve.process import Interpreter
from engine.runs import launches, record
from engine.runs.folder import RunFolder
from engine.types import Busy, EngineError, Refused
from engine.workspace import Workspace

# A trainer tells its end and then lets go of the lock; a new one waits for that.
RELEASE_SEC = 3.0
AFTER_SEQ = "EARMARK_AFTER_SEQ"  # tells a trainer after which event it was launched
NOT_STARTED = 127  # what a shell says of a program that it cannot start


def launch(run_dir: Path, *, python: str = "", clock: Callable[[], float] = time.time) -> None:
    """Start the trainer as a process of its own, in its own session, its output in `train.log`. Without `python` it is
    the interpreter of the run's voice: its own environment's, where it has one.

    Raises Busy if one is alive.
    """
    used = Interpreter(Path(python)) if python else interpreter(run_dir)
    folder = RunFolder(run_dir.resolve())
    if not _released(folder.lock):
        raise Busy(f"{run_dir.name} is already being trained by {locks.holder(folder.lock) or 'another process'}.")
    folder.stop_flag.unlink(missing_ok=True)
    before, launched_at, last_seq = launches.read(folder.launched), clock(), runs.read_progress(run_dir).last_seq
    attempt = before.get("attempt", 1) + 1 if before.get("after_seq") == last_seq else 1
    launches.write(folder.launched, at=launched_at, after_seq=last_seq, attempt=attempt)
    with folder.log.open("ab") as log:  # a file, not a pipe: a pipe that nobody drains would block the trainer
        try:
            child = subprocess.Popen(
                command(folder.path, python=str(used.python)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).resolve().parents[2],
                start_new_session=True,
                env={**os.environ, **used.environment(), AFTER_SEQ: str(last_seq)},
            )
        except OSError as error:  # no such program, or no memory for another process
            log.write(f"The trainer could not be started: {error}\n".encode())
            _note_exit(folder, launched_at, NOT_STARTED)
            raise EngineError(f"{run_dir.name} could not be started ({error}); mend that, then resume it.") from error
    reap = threading.Thread(target=_reap, args=(child, folder, launched_at), name=f"reap-{child.pid}", daemon=True)
    reap.start()


def interpreter(run_dir: Path) -> Interpreter:
    """What a run is trained with."""
    backend = str(record.read(run_dir)["config"].get("backend", ""))
    workspace = Workspace(run_dir.resolve().parent.parent)
    return environments.interpreter(workspace, backend) or Interpreter(Path(sys.executable))


def _reap(child: subprocess.Popen[bytes], folder: RunFolder, launched_at: float) -> None:
    """Collect the exit status: the child stays no zombie, and one that never spoke is known to be gone at once.

    The app may end before the child does; then nobody notes it and a reader waits for `START_GRACE_SEC`.
    """
    _note_exit(folder, launched_at, child.wait())


def _note_exit(folder: RunFolder, launched_at: float, status: int) -> None:
    with suppress(OSError):
        launches.write(folder.exited, launched_at=launched_at, status=status)


def must_be_current(run_dir: Path, environment: Mapping[str, str]) -> None:
    """Raises Busy when another trainer has spoken since this one was launched: of two launches one trains.

    To be called with the run's lock held. A trainer that was started by hand was launched after no event in
    particular and goes on from wherever the run is.
    """
    told = environment.get(AFTER_SEQ)
    if told is not None and runs.read_progress(run_dir).last_seq > int(told):
        raise Busy(f"Another trainer of {run_dir.name} was faster; this one has nothing to do.")


def command(run_dir: Path, *, python: str = sys.executable) -> list[str]:
    """The words that start a run's trainer."""
    return [python, "-m", "engine.train", str(run_dir)]


def _released(lock: Path) -> bool:
    end = time.monotonic() + RELEASE_SEC
    while held := locks.is_held(lock):
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return not held


def stop(run_dir: Path, *, force: bool = False) -> None:
    """Ask the trainer to save and end at its next step; `force` kills it at once. Raises Refused when the run is over.

    A run that waits for its start is stopped by this too.
    """
    run = runs.get(run_dir)
    if run.state.is_over:
        raise Refused(f"{run.id} is {run.state}; there is nothing to stop.")
    folder = RunFolder(run_dir)
    if not (force and _kill(folder)):
        durable.write_bytes(folder.stop_flag, b"stop\n")


def _kill(folder: RunFolder) -> bool:
    """SIGKILL to whoever holds the lock now, with its group when it leads one, so that no child outlives it.

    False when the holder is not known, which is so for a moment after its start.
    """
    pid = locks.holder_pid(folder.lock)
    if pid is None:
        return False
    kill = getattr(signal, "SIGKILL", signal.SIGTERM)
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg") and os.getpgid(pid) == pid:
            os.killpg(pid, kill)
        else:
            os.kill(pid, kill)
    return True
