"""A run that is stopped after some step and resumed, beside one that nobody disturbed: what every backend must write
alike, to the byte.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import checkpoints, durable, runs
from engine.runs.folder import RunFolder
from engine.train import loop, worker
from engine.types import RunState


def weights(run_dir: Path) -> dict[str, str]:
    """The sha256 of every file of weights in a run's checkpoints, by its path there."""
    found = durable.checksums(RunFolder(run_dir).checkpoints)
    return {name: digest for name, digest in found.items() if name.endswith(".safetensors")}


def trained(run_dir: Path) -> None:
    """Train in this process, to the end."""
    assert worker.work(run_dir) == 0, runs.get(run_dir).error
    assert runs.get(run_dir).state is RunState.COMPLETED


def trained_in_two(run_dir: Path, *, after_step: int, patch: pytest.MonkeyPatch) -> None:
    """Train in this process until `after_step` steps are done, stop as a person does, and resume."""
    original = loop.step

    def step(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        if runs.get(run_dir).step == after_step:
            RunFolder(run_dir).stop_flag.write_text("stop")

    with patch.context() as patched:
        patched.setattr(loop, "step", step)
        assert worker.work(run_dir) == 0, runs.get(run_dir).error
    stopped = runs.get(run_dir)
    assert (stopped.state, stopped.step) == (RunState.STOPPED, after_step)
    assert after_step < stopped.total_steps
    RunFolder(run_dir).stop_flag.unlink()
    trained(run_dir)


def assert_same(disturbed: Path, whole: Path) -> None:
    """Every checkpoint of the undisturbed run is there, to the byte, and the curve of validation is one."""
    expected, found = weights(whole), weights(disturbed)
    assert expected
    assert expected.items() <= found.items()
    assert len(checkpoints.listing(disturbed)) >= len(checkpoints.listing(whole))
    assert runs.series(disturbed).val_loss == runs.series(whole).val_loss
