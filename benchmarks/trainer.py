"""The trainer on five minutes of speech: steps a second, seconds an epoch, features with and without their cache."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import Row, Table
from engine import audit, dataset, manifest, needs, presets, runs
from engine.backends.finch.pretrain import demo_data
from engine.types import Dataset, EngineError, Event, PrepareSettings
from engine.workspace import Workspace

MINUTES = 5.0
EPOCHS = 3


def run(turns: int, base_model: str = "") -> list[Table]:
    """Train twice in the trainer's own process: the second run finds its features cached. `turns` does not apply."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        workspace.create()
        demo = demo_data.make(Path(folder) / "demo", minutes=MINUTES, seed=0)
        report = audit.audit(manifest.read(demo.manifest), needs.of("finch"))
        settings = PrepareSettings(backend="finch")
        prepared = dataset.prepare(report, settings, needs.of("finch"), root=workspace.datasets, now=time.time())
        first, second = (_trained(workspace, prepared, name, base_model) for name in ("first", "second"))
        return [_table(first, second, demo.minutes)]


def _trained(workspace: Workspace, prepared: Dataset, name: str, base_model: str) -> list[Event]:
    config = replace(presets.default("finch"), name=name, dataset=prepared.id, base_model=base_model, epochs=EPOCHS)
    made = runs.create(workspace.runs, config, now=time.time(), dataset=prepared)
    command = [sys.executable, "-m", "engine.train", str(made.path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"The trainer ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return runs.events(made.path)


def _table(first: list[Event], second: list[Event], minutes: float) -> Table:
    steps = [event for event in second if event.kind == "step"]
    seconds = [float(event.data["seconds"]) for event in steps]
    epoch_sec = sum(seconds) / EPOCHS
    begun = {name: _before_training(events) for name, events in (("first", first), ("second", second))}
    whole = second[-1].at - second[0].at
    return Table(
        f"LoRA training of both parts on {minutes:.1f} minutes of speech ({len(steps) // EPOCHS} steps an epoch)",
        [
            Row(
                "steps a second", f"{len(steps) / sum(seconds):.1f}", f"median step {statistics.median(seconds):.2f} s"
            ),
            Row("an epoch, features cached", f"{epoch_sec:.1f} s", "", "<= 5 s"),
            Row(f"a run of {EPOCHS} epochs, all told", f"{whole:.1f} s"),
            Row("until the first step, features to be measured", f"{begun['first']:.1f} s"),
            Row("until the first step, features cached", f"{begun['second']:.1f} s"),
        ],
        "From the trainer's own events, in its own process, with validation and verified checkpoints at every epoch.",
    )


def _before_training(events: list[Event]) -> float:
    """Seconds from the first event to the beginning of the first step."""
    step = next(event for event in events if event.kind == "step")
    return step.at - float(step.data["seconds"]) - events[0].at
