"""A trainer's life in its own process: its files are all that anybody knows of it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine import checkpoints, locks, runs
from engine.runs import launcher, queue
from engine.runs.folder import RunFolder
from engine.train import worker
from engine.train.__main__ import main
from engine.train.journal import Journal, heartbeat
from engine.types import Busy, Refused, Run, RunState
from engine.workspace import Workspace
from tests.train import trainer
from tests.train.conftest import MakeRun

PATIENCE_SEC = 240.0  # a trainer imports torch and PEFT, which takes long on a busy machine


def wait(run_dir: Path, until: Callable[[Run], bool]) -> Run:
    end = time.monotonic() + PATIENCE_SEC
    while not until(run := runs.get(run_dir)):
        assert time.monotonic() < end, f"{run.state} at step {run.step}: {(run_dir / 'train.log').read_text()[-2000:]}"
        time.sleep(0.02)
    return run


@pytest.fixture(name="python")
def toy_python(tmp_path: Path, workspace: Workspace) -> Iterator[str]:
    """The interpreter that trainers of this test run under; none of them outlives the test."""
    yield trainer.executable(tmp_path)
    for run in runs.listing(workspace.runs):
        with suppress(Refused):
            launcher.stop(run.path, force=True)


@pytest.mark.slow
def test_a_run_lives_in_its_own_process(make_run: MakeRun, python: str) -> None:
    """Launched, it goes from queued over starting to running, in a session of its own, its output in a file."""
    run = make_run(epochs=60)
    assert run.state is RunState.QUEUED
    launcher.launch(run.path, python=python)
    assert runs.get(run.path).state is RunState.STARTING
    wait(run.path, lambda r: locks.is_held(RunFolder(r.path).lock))
    with pytest.raises(Busy, match="is already being trained"):
        launcher.launch(run.path, python=python)
    running = wait(run.path, lambda r: r.state is RunState.RUNNING and r.step > 0)
    pid = locks.holder_pid(RunFolder(run.path).lock)
    assert pid is not None
    assert os.getsid(pid) == pid != os.getsid(0)
    assert running.eta_sec is not None
    with pytest.raises(Busy, match="stop it first"):
        queue.enqueue(run.path, clock=time.time)
    launcher.stop(run.path)
    assert wait(run.path, lambda r: r.state.is_over).state is RunState.STOPPED
    assert "Traceback" not in (run.path / "train.log").read_text()


@pytest.mark.slow
def test_a_killed_run_resumes_from_its_last_checkpoint_and_a_terminated_one_saves(
    make_run: MakeRun, python: str
) -> None:
    """SIGKILL loses the steps since the last checkpoint alone; SIGTERM saves and ends in order, and loses nothing."""
    run = make_run(epochs=400)
    launcher.launch(run.path, python=python)
    wait(run.path, lambda r: len(checkpoints.listing(r.path)) >= 2)
    launcher.stop(run.path, force=True)
    lost = wait(run.path, lambda r: r.state.is_over)
    assert lost.state is RunState.LOST
    assert "resume" in lost.error
    kept = checkpoints.listing(run.path)
    assert len(kept) >= 2
    launcher.launch(run.path, python=python)
    wait(run.path, lambda r: len(checkpoints.listing(r.path)) > len(kept))
    assert not RunFolder(run.path).stop_flag.exists()
    start = [e for e in runs.events(run.path) if e.kind == "start"][-1]
    assert start.data["step"] == kept[-1].step
    pid = locks.holder_pid(RunFolder(run.path).lock)
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    stopped = wait(run.path, lambda r: r.state.is_over)
    assert stopped.state is RunState.STOPPED
    assert checkpoints.listing(run.path)[: len(kept)] == kept
    assert checkpoints.listing(run.path)[-1].step == stopped.step
    assert runs.series(run.path).steps == tuple(range(1, stopped.step + 1))


def test_a_stop_is_seen_while_features_are_extracted(make_run: MakeRun, python: str) -> None:
    """A run that is still reading clips ends within a few of them, and the clips that were read stay in the cache."""
    run = make_run(base_model="0.05")
    launcher.launch(run.path, python=python)
    wait(run.path, lambda r: any(e.data.get("text", "").startswith("Reading clip 9") for e in runs.events(r.path)))
    launcher.stop(run.path)
    assert wait(run.path, lambda r: r.state.is_over).state is RunState.STOPPED
    cached = list((run.path.parent.parent / "features" / "toy").iterdir())
    assert 8 <= len(cached) < 20
    assert not [e for e in runs.events(run.path) if e.kind == "step"]


def test_a_trainer_that_never_came_up_is_lost(make_run: MakeRun, tmp_path: Path) -> None:
    """A process that dies before it takes the lock is lost as soon as its launcher knows; the log says why."""
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no such module >&2\nexit 3\n")
    broken.chmod(0o755)
    run = make_run()
    launcher.launch(run.path, python=str(broken))
    lost = wait(run.path, lambda r: r.state is not RunState.STARTING)
    assert lost.state is RunState.LOST
    assert "no such module" in (run.path / "train.log").read_text()


def test_a_second_trainer_is_refused(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run has one trainer: a second one names the first and writes nothing."""
    monkeypatch.setattr(worker, "LOCK_PATIENCE_SEC", 0.0)
    run = make_run()
    with (
        locks.hold(RunFolder(run.path).lock, what="training elsewhere"),
        pytest.raises(Busy, match="training elsewhere"),
    ):
        worker.work(run.path)
    assert runs.events(run.path) == []


def test_a_look_at_the_lock_does_not_stop_a_trainer(make_run: MakeRun) -> None:
    """Whoever asks whether the run is alive holds its lock for a moment; the trainer waits for that."""
    run = make_run(epochs=1)
    holding = threading.Event()

    def look() -> None:
        with locks.hold(RunFolder(run.path).lock, what="a look"):
            holding.set()
            time.sleep(0.3)

    thread = threading.Thread(target=look)
    thread.start()
    holding.wait()
    assert worker.work(run.path) == 0
    thread.join()


def test_the_command_line_refuses_what_is_no_run(
    tmp_path: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """No argument, no run, and a run of another version: one sentence each on stderr, with its exit status."""
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 3
    assert "is not a run" in capsys.readouterr().err
    run = make_run()
    record = RunFolder(run.path).record
    record.chmod(0o644)
    record.write_text(json.dumps({"format_version": 99}))
    assert main([str(run.path)]) == 2
    assert "format 99 and this program reads 1" in capsys.readouterr().err


def test_finished_runs_are_not_resumed(make_run: MakeRun) -> None:
    """A complete run has nothing to go on with, and a run that is over nothing to stop."""
    run = make_run(epochs=1)
    worker.work(run.path)
    with pytest.raises(Refused, match="more epochs"):
        queue.enqueue(run.path, clock=time.time)
    with pytest.raises(Refused, match="nothing to stop"):
        launcher.stop(run.path)


def test_a_heartbeat_between_slow_steps(tmp_path: Path, make_run: MakeRun) -> None:
    """While a step takes long the trainer still says that it lives."""
    run = make_run()
    with Journal(RunFolder(run.path), time.time) as journal, heartbeat(journal, 0.01):
        end = time.monotonic() + PATIENCE_SEC
        while len(runs.events(run.path)) < 3:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert {e.kind for e in runs.events(run.path)} == {"heartbeat"}
