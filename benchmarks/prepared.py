"""A prepared dataset of the built-in voice, made on the spot, and a training of it in this process. Measures
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine import audit, dataset, manifest, monitors, needs, presets
from engine.backends.finch.pretrain import demo_data
from engine.runs import making, record
from engine.runs.folder import RunFolder
from engine.train import session as sessions
from engine.train.control import Control
from engine.train.faults import Where
from engine.train.journal import Journal, heartbeat
from engine.train.session import Session
from engine.train.state_files import TrainState
from engine.train.world import Alone
from engine.types import Dataset, PrepareSettings, Run, RunConfig
from engine.workspace import Workspace


@dataclass(frozen=True)
class Place:
    """A workspace with one prepared dataset of so many minutes."""

    workspace: Workspace
    dataset: Dataset
    minutes: float

    def run(self, name: str, **settings: Any) -> Run:
        """A run over the dataset with the default preset's settings and these."""
        config: RunConfig = replace(presets.default("finch"), name=name, dataset=self.dataset.id, **settings)
        return making.create(self.workspace.runs, config, now=time.time(), dataset=self.dataset)


def make(folder: Path, minutes: float) -> Place:
    """Demo recordings, audited and prepared under `folder`."""
    workspace = Workspace(folder)
    workspace.create()
    demo = demo_data.make(folder / "demo", minutes=minutes, seed=0)
    report = audit.audit(manifest.read(demo.manifest), needs.of("finch"))
    settings = PrepareSettings(backend="finch")
    made = dataset.prepare(report, settings, needs.of("finch"), root=workspace.datasets, now=time.time())
    return Place(workspace, made, demo.minutes)


@contextmanager
def training(run: Run) -> Iterator[tuple[Session, TrainState]]:
    """A run's session as its trainer has it, with its journal, monitors and heartbeat."""
    folder = RunFolder(run.path)
    with Journal(folder, time.time, monitors.watch(run.config)) as journal, heartbeat(journal, 10.0):
        control = Control(folder, journal)
        yield sessions.prepare(
            folder, record.read(run.path), journal=journal, control=control, world=Alone(), where=Where()
        )
