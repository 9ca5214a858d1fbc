"""Run folders: made, launched, read, stopped, resumed. Disk is the truth; alive is a held lock, never a pid.

Knows how a state follows from the lock, the stop flag and the events. Knows nothing of training; the trainer is
another process (`python -m engine.train RUN_DIR`), started here and never waited for, so closing the app changes
nothing for it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import backends, code_version, curves, durable, environments, lease, locks, manifest, run_config
from engine import dataset as datasets
from engine import events as event_log
from engine.backends.serve.process import Interpreter
from engine.progress import Progress, Snapshot, follow, standing_aside
from engine.run_folder import RunFolder
from engine.types import (
    BadInput,
    Busy,
    Dataset,
    EngineError,
    Event,
    NotFound,
    Refused,
    Run,
    RunConfig,
    RunState,
    Series,
)
from engine.workspace import Workspace

FORMAT_VERSION = 1
# From its start a trainer needs well under a second until it holds its lock (it takes it before it imports torch).
# One that is still silent after this long never came up.
START_GRACE_SEC = 60.0
# A queued run whose launches come to nothing (the app died between writing it down and doing it) is launched so often.
LAUNCHES = 3
# A trainer tells its end and then lets go of the lock; a new one waits for that.
RELEASE_SEC = 3.0
AFTER_SEQ = "EARMARK_AFTER_SEQ"  # tells a trainer after which event it was launched
NOT_STARTED = 127  # what a shell says of a program that it cannot start
DIED = "The trainer is gone without a word: killed, out of memory, or the machine went down; see train.log; resume it."


# --------------------------------------------------------------------------------------------------------------- making
def create(root: Path, config: RunConfig, *, now: float, dataset: Dataset) -> Run:
    """Make a run's folder with its immutable record; starts nothing.

    Raises BadInput naming the setting to change, Refused for a dataset with unresolved errors that nobody accepted.
    """
    run_config.check(config)
    _must_agree(config, dataset)
    datasets.must_be_accepted(dataset, by=config.accepted_by)
    folder = RunFolder(new_folder(root, config.name or dataset.id, now))
    folder.stop_flag.parent.mkdir()
    folder.checkpoints.mkdir()
    durable.write_bytes(folder.record, describe(folder.path, config, now=now, dataset=dataset).encode())
    folder.record.chmod(0o444)
    return get(folder.path)


def describe(run_dir: Path, config: RunConfig, *, now: float, dataset: Dataset) -> str:
    """The text of the `run.json` that a run in this folder would have. Makes nothing.

    Base weights that are named by a model of the hub are written down with their commit: a resumed run has the same.
    """
    config = replace(config, base_model=backends.pinned(config.backend, config.base_model))
    record = {
        "format_version": FORMAT_VERSION,
        "id": run_dir.name,
        "created_at": now,
        "config": run_config.to_json(config),
        "dataset": {
            "id": dataset.id,
            "path": os.path.relpath(dataset.path.resolve(), run_dir.resolve()),  # a workspace may be moved
            "manifest_sha256": dataset.manifest_sha256,
        },
        "base_sha256": backends.info(config.backend, config.base_model).base_sha256,
        "code": code_version.facts(),
    }
    return json.dumps(record, indent=1) + "\n"


def folder_name(name: str, now: float) -> str:
    """What a new run's folder is called, from its name and the time."""
    return f"{manifest.slug(name)}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}"


def read_record(run_dir: Path) -> dict[str, Any]:
    """`run.json`. Raises NotFound without one, BadInput for one that is damaged or of another version."""
    path = RunFolder(run_dir).record
    if not path.is_file():
        raise NotFound(f"{run_dir} is not a run: it has no run.json.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        version = record["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path} is damaged ({error!r}); restore it from a copy, the checkpoints are untouched."
        ) from error
    if version != FORMAT_VERSION:
        raise BadInput(
            f"{run_dir.name} is a run of format {version} and this program reads {FORMAT_VERSION}: "
            "open it with the version that made it."
        )
    return dict(record)


def _must_agree(config: RunConfig, dataset: Dataset) -> None:
    known = backends.info(config.backend, config.base_model)
    if dataset.backend != config.backend or dataset.sample_rate != known.sample_rate:
        raise BadInput(
            f"Dataset {dataset.id} was prepared for {dataset.backend} at {dataset.sample_rate} Hz; "
            f"prepare it for {config.backend} ({known.sample_rate} Hz)."
        )
    strange = [p for p in config.parts if p not in known.parts]
    if strange:
        raise BadInput(f"{config.backend} has no part {strange[0]!r}; it has: {', '.join(known.parts)}.")


def new_folder(root: Path, name: str, now: float) -> Path:
    """Make an empty folder for a run, with a name that no other run has."""
    base = folder_name(name, now)
    root.mkdir(parents=True, exist_ok=True)
    for count in range(1, 1000):
        path = root / (base if count == 1 else f"{base}-{count}")
        with suppress(FileExistsError):
            path.mkdir()
            return path
    raise Busy(f"{root} already has a thousand runs named {base}; give this one another name.")


# -------------------------------------------------------------------------------------------------------------- reading
def get(run_dir: Path, *, clock: Callable[[], float] = time.time) -> Run:
    """A run as its folder tells it now. Raises NotFound, or BadInput for a folder of another version."""
    record = read_record(run_dir)
    try:
        config, created_at = run_config.from_json(record["config"]), float(record["created_at"])
    except (BadInput, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{RunFolder(run_dir).record} is damaged ({error}); restore it from a copy.") from error
    progress = read_progress(run_dir)
    state = _state(RunFolder(run_dir), progress, clock())
    return Run(
        id=run_dir.name,
        path=run_dir,
        config=config,
        state=state,
        created_at=created_at,
        format_version=FORMAT_VERSION,
        step=progress.step,
        total_steps=progress.total_steps,
        epoch=progress.epoch,
        train_loss=progress.train_loss,
        val_loss=progress.val_loss,
        eta_sec=None if state.is_over else progress.eta_sec,
        error=_said(state, progress),
        alerts=tuple(progress.alerts),
    )


def _said(state: RunState, progress: Progress) -> str:
    """What a person should read of the state: why it failed, or what it waits for."""
    if state is RunState.LOST:
        return DIED
    if state is RunState.PAUSED:
        return f"{progress.note} {standing_aside(progress)}"
    waits = state is RunState.STARTING and progress.note.startswith(lease.WAITS)
    return progress.note if waits else progress.error


def listing(root: Path) -> list[Run]:
    """All runs below `root`, newest first.

    A folder that cannot be read is listed as lost with the sentence that says why.
    """
    found = []
    for path in sorted(root.glob("*/run.json")):
        try:
            found.append(get(path.parent))
        except BadInput as error:
            made, config = path.stat().st_mtime, RunConfig(name=path.parent.name)
            unread = Run(
                id=config.name, path=path.parent, config=config, state=RunState.LOST, created_at=made, format_version=0
            )
            found.append(replace(unread, error=str(error)))
    return sorted(found, key=lambda run: run.created_at, reverse=True)


def read_progress(run_dir: Path) -> Progress:
    """The events folded: the trainer's snapshot, and what came after it."""
    folder = RunFolder(run_dir)
    try:
        snapshot = Snapshot.from_json(folder.status.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        snapshot = Snapshot()
    newer, _ = event_log.read_from(folder.events, snapshot.offset)
    return follow(snapshot.progress, newer)


def events(run_dir: Path, after_seq: int = -1) -> list[Event]:
    """What the run told since an event."""
    return event_log.read(RunFolder(run_dir).events, after_seq)


def series(run_dir: Path) -> Series:
    """The curves."""
    return curves.series(events(run_dir), run_id=run_dir.name)


def _state(folder: RunFolder, progress: Progress, now: float) -> RunState:
    held = locks.is_held(folder.lock)
    launched, queued = _numbers(folder.launched), _numbers(folder.queued)
    stop_wanted = folder.stop_flag.exists()
    waits = bool(queued) and progress.last_seq <= queued["after_seq"] and not stop_wanted
    if launched and progress.last_seq <= launched["after_seq"]:  # not a word since this launch
        is_gone = _numbers(folder.exited).get("launched_at") == launched["at"]
        if held or (not is_gone and now - launched["at"] < START_GRACE_SEC):
            return RunState.STARTING
        again = waits and not is_gone and launched.get("attempt", 1) < LAUNCHES
        return RunState.QUEUED if again else RunState.LOST
    if waits and (progress.has_ended or not held):  # a trainer that said its last word may take seconds to be gone
        return RunState.QUEUED
    if progress.has_ended:
        return RunState(progress.phase)
    if not held and progress.last_seq < 0:
        return RunState.STOPPED if stop_wanted else RunState.QUEUED
    if not held:
        return RunState.LOST
    if stop_wanted:
        return RunState.STOPPING
    return RunState(progress.phase or "starting")


def _numbers(path: Path) -> dict[str, float]:
    """A small JSON object of numbers; empty when there is none."""
    try:
        return {name: float(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


# ----------------------------------------------------------------------------------------------------- a trainer's life
def enqueue(run_dir: Path, *, clock: Callable[[], float] = time.time) -> None:
    """Let a new run, or one that is over and not complete, wait for its device.

    Raises Refused for a complete run, Busy for one that is under way. What waits already keeps waiting.
    """
    run = get(run_dir)
    _must_not_be_done(run)
    folder = RunFolder(run_dir)
    for past in (folder.stop_flag, folder.launched, folder.exited):
        past.unlink(missing_ok=True)
    queued = {"at": clock(), "after_seq": read_progress(run_dir).last_seq}
    durable.write_bytes(folder.queued, json.dumps(queued).encode())


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
    before, launched_at, last_seq = _numbers(folder.launched), clock(), read_progress(run_dir).last_seq
    attempt = before.get("attempt", 1) + 1 if before.get("after_seq") == last_seq else 1
    launched = {"at": launched_at, "after_seq": last_seq, "attempt": attempt}
    durable.write_bytes(folder.launched, json.dumps(launched).encode())
    with folder.log.open("ab") as log:  # a file, not a pipe: a pipe that nobody drains would block the trainer
        try:
            child = subprocess.Popen(
                command(folder.path, python=str(used.python)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).resolve().parent.parent,
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
    backend = str(read_record(run_dir)["config"].get("backend", ""))
    workspace = Workspace(run_dir.resolve().parent.parent)
    return environments.interpreter(workspace, backend) or Interpreter(Path(sys.executable))


def _reap(child: subprocess.Popen[bytes], folder: RunFolder, launched_at: float) -> None:
    """Collect the exit status: the child stays no zombie, and one that never spoke is known to be gone at once.

    The app may end before the child does; then nobody notes it and a reader waits for `START_GRACE_SEC`.
    """
    _note_exit(folder, launched_at, child.wait())


def _note_exit(folder: RunFolder, launched_at: float, status: int) -> None:
    with suppress(OSError):
        durable.write_bytes(folder.exited, json.dumps({"launched_at": launched_at, "status": status}).encode())


def must_be_current(run_dir: Path, environment: Mapping[str, str]) -> None:
    """Raises Busy when another trainer has spoken since this one was launched: of two launches one trains.

    To be called with the run's lock held. A trainer that was started by hand was launched after no event in
    particular and goes on from wherever the run is.
    """
    told = environment.get(AFTER_SEQ)
    if told is not None and read_progress(run_dir).last_seq > int(told):
        raise Busy(f"Another trainer of {run_dir.name} was faster; this one has nothing to do.")


def exit_status(run_dir: Path) -> int | None:
    """How the process of the last launch ended, negative for a signal; None where nobody was there to see it."""
    folder = RunFolder(run_dir)
    launched, exited = _numbers(folder.launched), _numbers(folder.exited)
    if not launched or exited.get("launched_at") != launched["at"]:
        return None
    return int(exited["status"])


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
    run = get(run_dir)
    if run.state.is_over:
        raise Refused(f"{run.id} is {run.state}; there is nothing to stop.")
    folder = RunFolder(run_dir)
    if not (force and _kill(folder)):
        durable.write_bytes(folder.stop_flag, b"stop\n")


def resume(run_dir: Path, *, python: str = "") -> None:
    """Start the trainer again, to go on from the newest checkpoint.

    Raises Busy while one is alive, Refused when the run is complete.
    """
    _must_not_be_done(get(run_dir))
    launch(run_dir, python=python)


def _must_not_be_done(run: Run) -> None:
    if run.state is RunState.COMPLETED:
        raise Refused(f"{run.id} is complete; start a new run with more epochs instead.")
    if not run.state.is_over and run.state is not RunState.QUEUED:
        raise Busy(f"{run.id} is {run.state}; stop it first.")


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
