"""Runs without a model: records of datasets, run folders with told events, and a trainer that trains nothing.

The stand-in trainer holds the run's lock and its lease as the real one does, says a few events, and ends as the run's
name asks it to. Started by the launcher as the real one is: `executable(folder)` is given to it as `python`.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine import lease, locks, run_config  # noqa: E402 -- run as a program, it is not on the path
from engine.events import EventLog  # noqa: E402
from engine.runs import launcher, making, record  # noqa: E402
from engine.runs.folder import RunFolder  # noqa: E402
from engine.types import Dataset, Run, RunConfig  # noqa: E402
from engine.workspace import Workspace  # noqa: E402

FAULT = {
    "kind": "activations",
    "explanation": "Out of memory in the first forward pass.",
    "changes": [{"setting": "batch_tokens", "old": 1500, "new": 750, "effect": "half the activations"}],
}


def prepared(root: Path, **changes: object) -> Dataset:
    """A dataset's record; there are no files behind it."""
    made = Dataset(
        id="set-1",
        path=root / "datasets/set-1",
        manifest_sha256="a" * 64,
        backend="finch",
        sample_rate=16_000,
        train_count=60,
        validation_count=6,
        test_count=0,
        train_sec=300.0,
        excluded_count=0,
        unresolved=0,
        bad_row_share=0.0,
        source=root / "m.jsonl",
        created_at=1.0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def create(workspace: Workspace, name: str, *, now: float = 0.0, device: str = "cpu", **changes: object) -> Run:
    """A run's folder in a workspace; it waits."""
    config = replace(RunConfig(name=name, dataset="set-1", device=device), **changes)  # type: ignore[arg-type]
    return making.create(workspace.runs, config, now=now, dataset=prepared(workspace.root))


def tell(run: Run, *told: tuple[str, dict[str, object]]) -> None:
    """Events as a trainer would have said them."""
    with EventLog(RunFolder(run.path).events, lambda: 5.0) as log:
        for kind, data in told:
            log.append(kind, **data)


def executable(folder: Path) -> str:
    """A stand-in for the Python interpreter that starts this file's trainer."""
    script = folder / "python-without-training"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def train(run_dir: Path) -> int:
    """What the name asks for: `oom` fails in memory, `killed` is killed, `silent` ends before a word, `long` goes on
    until it is stopped, anything else completes.
    """
    config = run_config.from_json(record.read(run_dir)["config"])
    if config.name == "silent":
        return 3
    folder, workspace = RunFolder(run_dir), Workspace(run_dir.parent.parent)
    with locks.hold(folder.lock, what="a trainer"), EventLog(folder.events, time.time) as log:
        launcher.must_be_current(run_dir, os.environ)
        log.append("note", state="starting", text="Waiting")
        with lease.hold(workspace, lease.devices(config), what=f"training {run_dir.name}"):
            log.append("start", pid=os.getpid(), step=0, epoch=1, total_steps=1)
            if config.name == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if config.name == "oom":
                print("RuntimeError: DefaultCPUAllocator: can't allocate memory", flush=True)
                log.append("end", reason="failed", exit=1, error=FAULT["explanation"], fault=FAULT, step=0)
                return 1
            while config.name == "long" and not folder.stop_flag.exists():
                time.sleep(0.02)
            stopped = folder.stop_flag.exists()
            log.append("end", reason="stopped" if stopped else "completed", exit=0, error="", step=1)
    return 0


if __name__ == "__main__":
    sys.exit(train(Path(sys.argv[3])))
