"""The trainer with the built-in voice's real classes: the host speaks what it publishes, and a stop costs nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from engine import backends, checkpoints, dataset, manifest, needs, runs
from engine.adapter_files import load_adapter
from engine.adapters import AdapterHost
from engine.backends.finch import info, speech_model
from engine.runs import making
from engine.runs.folder import RunFolder
from engine.train import listening, loop, worker
from engine.types import AuditReport, GenerationSettings, PrepareSettings, Run, RunConfig, RunState, SpeakRow
from engine.workspace import Workspace
from tests import finch_factory


@pytest.fixture(name="weights")
def tiny_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = finch_factory.write_weights(tmp_path / "weights")
    monkeypatch.setattr(backends, "info", lambda name, base_model="": info.info(folder))
    return folder


@pytest.fixture(name="workspace")
def workspace_with_data(tmp_path: Path, weights: Path) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    workspace.create()
    source = tmp_path / "source/manifest.jsonl"
    manifest.write(source, finch_factory.make_utterances(tmp_path / "source", f0_hz=200.0))
    report = AuditReport(manifest=manifest.read(source), backend="finch", findings=())  # buzzes: no speech to audit
    dataset.prepare(report, PrepareSettings(backend="finch"), needs.of("finch"), root=workspace.datasets, now=1.0)
    return workspace


def make_run(workspace: Workspace, weights: Path, epochs: int) -> Run:
    prepared = dataset.listing(workspace.datasets)[0]
    config = RunConfig(
        dataset=prepared.id, base_model=str(weights), epochs=epochs, batch_tokens=150, device="cpu",
    )  # fmt: skip
    return making.create(workspace.runs, config, now=1.0, dataset=prepared)


def tensors(run: Run) -> dict[str, str]:
    return {
        f"{c.path.name}/{p.relative_to(c.path)}": hashlib.sha256(p.read_bytes()).hexdigest()
        for c in checkpoints.listing(run.path)
        for p in sorted(c.path.rglob("*.safetensors"))
    }


def test_a_trained_adapter_is_spoken_with(workspace: Workspace, weights: Path) -> None:
    """A checkpoint of both parts loads into the host; scale 1 changes the audio, scale 0 is the base to the bit."""
    run = make_run(workspace, weights, epochs=2)
    assert worker.work(run.path) == 0, runs.get(run.path).error
    checkpoint = checkpoints.listing(run.path)[-1]
    assert checkpoint.adapter.voice == "high"  # the base voice whose pitch is closest to 200 Hz
    assert set(checkpoint.adapter.voice_settings) == {"clock"}
    host = AdapterHost(speech_model.load(base_model=str(weights)))
    adapter = load_adapter(checkpoint.path)
    # Random weights may end with the first draw; with this seed and temperature they babble for a while.
    row = {"text": finch_factory.TEXTS[0], "voice": "high", "seed": 2, "settings": GenerationSettings(temperature=2.0)}
    host.add(adapter)
    base, silent, spoken = host.speak(
        [
            SpeakRow(**row),  # type: ignore[arg-type]
            SpeakRow(**row, adapter_sha256=adapter.sha256, lora_scale=0.0),  # type: ignore[arg-type]
            SpeakRow(**row, adapter_sha256=adapter.sha256, lora_scale=1.0),  # type: ignore[arg-type]
        ]
    )
    assert base.samples.any()
    assert base.samples.tobytes() == silent.samples.tobytes()
    assert base.samples.tobytes() != spoken.samples.tobytes()


def test_all_weights_are_trained_and_spoken(
    workspace: Workspace, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full fine-tuning with layers computed twice and bf16: the trainer hears itself at the checkpoint, the host speaks
    it, and scale 0 is the base to the bit.
    """
    monkeypatch.setattr(listening, "SHARE", 1e9)
    prepared = dataset.listing(workspace.datasets)[0]
    config = RunConfig(
        dataset=prepared.id,
        base_model=str(weights),
        method="full",
        epochs=1,
        batch_tokens=150,
        gradient_checkpointing=True,
        precision="bf16",
        accumulation=2,
        device="cpu",
    )
    run = making.create(workspace.runs, config, now=1.0, dataset=prepared)
    assert worker.work(run.path) == 0, runs.get(run.path).error
    said = next(e.data for e in runs.events(run.path) if e.kind == "checkpoint")
    assert said["speech"]["lines"] >= 1
    assert said["speech"]["seconds_per_character"] > 0
    adapter = load_adapter(checkpoints.listing(run.path)[0].path)
    assert adapter.kind == "full"
    host = AdapterHost(speech_model.load(base_model=str(weights)))
    host.add(adapter)
    row = {"text": finch_factory.TEXTS[0], "voice": "high", "seed": 2, "settings": GenerationSettings(temperature=2.0)}
    base, silent, spoken = host.speak(
        [
            SpeakRow(**row),  # type: ignore[arg-type]
            SpeakRow(**row, adapter_sha256=adapter.sha256, lora_scale=0.0),  # type: ignore[arg-type]
            SpeakRow(**row, adapter_sha256=adapter.sha256, lora_scale=1.0),  # type: ignore[arg-type]
        ]
    )
    assert base.samples.tobytes() == silent.samples.tobytes()
    assert base.samples.tobytes() != spoken.samples.tobytes()


def test_a_stopped_and_resumed_run_is_the_same_run(
    workspace: Workspace, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real losses, stopping in the middle of an epoch and resuming gives bit-equal checkpoints."""
    whole, halved = make_run(workspace, weights, epochs=3), make_run(workspace, weights, epochs=3)
    worker.work(whole.path)
    middle = checkpoints.listing(whole.path)[0].step + 1
    original = loop.step

    def step(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        if runs.get(halved.path).step == middle:
            RunFolder(halved.path).stop_flag.write_text("stop")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", step)
        assert worker.work(halved.path) == 0
    assert (runs.get(halved.path).state, runs.get(halved.path).step) == (RunState.STOPPED, middle)
    RunFolder(halved.path).stop_flag.unlink()
    assert worker.work(halved.path) == 0
    assert tensors(whole).items() <= tensors(halved).items()
    assert runs.series(halved.path).val_loss == runs.series(whole.path).val_loss
