"""A workspace with a prepared dataset for the toy voice, and runs in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine import backends, dataset, manifest
from engine.needs import Needs
from engine.runs import making
from engine.types import AuditReport, Dataset, PrepareSettings, Run, RunConfig
from engine.workspace import Workspace
from tests.recordings import make_manifest

MakeRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def toy_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "toy", "tests.train.toy_voice")
    monkeypatch.setitem(backends.INFO, "toy", "tests.train.toy_voice")


@pytest.fixture(name="workspace")
def make_workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    workspace.create()
    return workspace


@pytest.fixture(name="prepared")
def make_dataset(tmp_path: Path, workspace: Workspace) -> Dataset:
    read = manifest.read(make_manifest(tmp_path / "source", 20))
    report = AuditReport(manifest=read, backend="toy", findings=())  # tones: no speech for an audit to look at
    toy = Needs(name="toy", title="Toy", sample_rate=16_000, min_sec=0.1, max_sec=60.0)
    settings = PrepareSettings(backend="toy", validation_share=0.2)
    return dataset.prepare(report, settings, toy, root=workspace.datasets, now=1.0)


@pytest.fixture(name="make_run")
def run_factory(workspace: Workspace, prepared: Dataset) -> MakeRun:
    def make(**changes: object) -> Run:
        settings: dict[str, object] = {
            "name": "ada",
            "dataset": prepared.id,
            "backend": "toy",
            "epochs": 2,
            "batch_tokens": 200,
            "learning_rate": 0.01,
            "warmup_steps": 3,
            "rank": 4,
            "alpha": 8.0,
            "dropout": 0.1,
            "device": "cpu",
        }
        config = RunConfig(**(settings | changes))  # type: ignore[arg-type]
        return making.create(workspace.runs, config, now=1_000_000.0, dataset=prepared)

    return make
