"""A training that two processes share: the same losses, one writer, and none of them outlives the other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from engine import checkpoints, locks, runs
from engine.runs import launcher
from engine.runs.folder import RunFolder
from engine.train import worker
from engine.types import Refused, RunState
from engine.workspace import Workspace
from tests.train import trainer
from tests.train.conftest import MakeRun
from tests.train.test_worker import wait

SHARED = {"accumulation": 2, "device": "cpu", "batch_tokens": 100}


@pytest.fixture(name="python")
def toy_python(tmp_path: Path, workspace: Workspace) -> Iterator[str]:
    """The interpreter that trainers of this test run under; none of them outlives the test."""
    yield trainer.executable(tmp_path)
    for run in runs.listing(workspace.runs):
        with suppress(Refused):
            launcher.stop(run.path, force=True)


def trainers(run_dir: Path) -> list[int]:
    """Every process that trains a run, as the kernel lists them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(run_dir).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


@pytest.mark.slow
def test_two_processes_train_as_one_does(make_run: MakeRun, python: str) -> None:
    """The same batches with the same seeds: losses and curves are one process's but for the order of additions, and
    stopping in the middle and resuming changes no bit of them.
    """
    one, two = make_run(epochs=2, **SHARED), make_run(epochs=2, processes=2, **SHARED)
    assert worker.work(one.path) == 0
    launcher.launch(two.path, python=python)
    wait(two.path, lambda r: r.state.is_over)
    assert runs.get(two.path).state is RunState.COMPLETED, runs.get(two.path).error
    expected, got = runs.series(one.path), runs.series(two.path)
    assert got.steps == expected.steps
    np.testing.assert_allclose(got.train_loss, expected.train_loss, rtol=1e-4)
    np.testing.assert_allclose(got.val_loss, expected.val_loss, rtol=1e-4)
    start = next(e for e in runs.events(two.path) if e.kind == "start")
    assert start.data["processes"] == 2
    assert [c.step for c in checkpoints.listing(two.path)] == [c.step for c in checkpoints.listing(one.path)]
    end = time.monotonic() + 30
    while left := trainers(two.path):
        assert time.monotonic() < end, left
        time.sleep(0.1)


@pytest.mark.slow
def test_a_shared_run_is_stopped_killed_and_resumed(make_run: MakeRun, python: str) -> None:
    """The flag ends both in order; a kill of the leader takes the other along; a dead follower ends the run with a
    sentence; after each of them the run goes on from its newest checkpoint.
    """
    run = make_run(epochs=1000, processes=2, save_every=2, save_unit="steps", **SHARED)
    launcher.launch(run.path, python=python)
    wait(run.path, lambda r: len(checkpoints.listing(r.path)) >= 2)
    launcher.stop(run.path)
    stopped = wait(run.path, lambda r: r.state.is_over)
    assert stopped.state is RunState.STOPPED
    assert checkpoints.listing(run.path)[-1].step == stopped.step
    launcher.launch(run.path, python=python)
    wait(run.path, lambda r: r.step > stopped.step + 4)
    leader = locks.holder_pid(RunFolder(run.path).lock)
    assert leader is not None
    os.kill(leader, signal.SIGKILL)  # the leader alone, not its group
    lost = wait(run.path, lambda r: r.state.is_over)
    assert lost.state is RunState.LOST
    end = time.monotonic() + 30
    while left := trainers(run.path):
        assert time.monotonic() < end, left
        time.sleep(0.1)
    kept = checkpoints.listing(run.path)[-1].step
    launcher.launch(run.path, python=python)
    wait(run.path, lambda r: r.state is RunState.RUNNING and r.step > kept)
    follower = next(pid for pid in trainers(run.path) if pid != locks.holder_pid(RunFolder(run.path).lock))
    os.kill(follower, signal.SIGKILL)
    failed = wait(run.path, lambda r: r.state.is_over)
    assert failed.state is RunState.FAILED
    assert "Process 1 of 2 ended with status -9" in failed.error
    assert [e.data["step"] for e in runs.events(run.path) if e.kind == "start"] == [0, stopped.step, kept]
