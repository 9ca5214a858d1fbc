"""The whole way with a tiny VoxCPM 2: data, run, sweep, export, and upstream's own class says what the app says."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine import checkpoints, dataset, harness, needs, runs
from engine.adapters import AdapterHost
from engine.backends import sizes
from engine.backends.voxcpm import generation, native, speech_model
from engine.bundle import record, writing
from engine.bundle.record import Evidence
from engine.runs import making
from engine.runs.folder import RunFolder
from engine.studio import Studio
from engine.train import listening, worker
from engine.types import (
    BadInput,
    Candidate,
    Checkpoint,
    GenerationSettings,
    Outcome,
    Run,
    RunConfig,
    RunState,
    SpeakRow,
    Speech,
)
from engine.workspace import Workspace
from tests import voxcpm_factory
from tests.backends import resuming, sweeping
from tests.backends.blind_loop import audited_and_prepared, judged_and_exported
from tests.judgement_factory import make_promotion, make_verdict
from tests.voxcpm_factory import SECOND

pytest.importorskip("voxcpm")
SHORT = GenerationSettings(max_factor=0.5)
SCALE = 0.6


@pytest.fixture(scope="module", name="base")
def _base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model folder, named as a person would name it."""
    folder = voxcpm_factory.make(tmp_path_factory.mktemp("model") / "VoxCPM2")
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stderr(io.StringIO()):
        patched.setenv("EARMARK_VOXCPM2", str(folder))
        patched.setattr(generation, "DIFFUSION_STEPS", 2)
        patched.setattr(generation, "SPARE_PATCHES", 4)
        patched.setattr(listening, "CAP_FACTOR", SHORT.max_factor)
        yield folder


@pytest.fixture(scope="module", name="workspace")
def _workspace(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("loop")
    prepared = audited_and_prepared(root / "home", root / "source", SECOND)
    assert (prepared.sample_rate, prepared.unresolved, prepared.excluded_count) == (16_000, 0, 0)
    assert needs.of(SECOND).trainable_here
    return Workspace(root / "home")


def make_run(workspace: Workspace, **changes: object) -> Run:
    prepared = dataset.listing(workspace.datasets)[0]
    config = RunConfig(
        name="tiny", dataset=prepared.id, backend=SECOND, parts=("lm", "dit"), target_modules=("q_proj", "v_proj"),
        rank=4, alpha=8.0, learning_rate=2e-2, epochs=2, batch_tokens=100, device="cpu",
    )  # fmt: skip
    config = replace(config, **changes)  # type: ignore[arg-type]
    return making.create(workspace.runs, config, now=1.0, dataset=prepared)


@pytest.fixture(scope="module", name="checkpoint")
def _checkpoint(workspace: Workspace) -> Checkpoint:
    """The last one of a run of two epochs, trained in this process."""
    run = make_run(workspace)
    assert worker.work(run.path) == 0, runs.get(run.path).error
    return checkpoints.listing(run.path)[-1]


def test_a_stopped_and_resumed_run_is_the_same_run(
    workspace: Workspace, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after its first step and resumed, it writes the checkpoints of the run that was not, bit for bit."""
    halved = make_run(workspace)
    resuming.trained_in_two(halved.path, after_step=1, patch=monkeypatch)
    resuming.assert_same(halved.path, workspace.runs / checkpoint.run_id)


@pytest.fixture(scope="module", name="whole")
def _whole(workspace: Workspace) -> Checkpoint:
    """A full checkpoint, trained with layers computed twice, in bf16."""
    run = make_run(
        workspace,
        method="full", parts=("lm", "dit", "proj"), target_modules=(), epochs=1, learning_rate=1e-3,
        gradient_checkpointing=True, precision="bf16", accumulation=2,
    )  # fmt: skip
    assert worker.work(run.path) == 0, runs.get(run.path).error
    return checkpoints.listing(run.path)[-1]


def test_every_weight_but_the_codecs_is_trained(whole: Checkpoint, base: Path) -> None:
    """All weights of upstream's `model.safetensors` are in the checkpoint; the host speaks it, and scale 0 is the base
    to the bit.
    """
    adapter = whole.adapter
    assert adapter.kind == "full"
    shapes = {part: sizes.shapes(adapter.path / part / "full.safetensors") for part in adapter.parts}
    trained = set(shapes["lm"]) | {native.DIT + name for name in shapes["dit"]} | set(shapes["proj"])
    assert trained == set(sizes.shapes(base / "model.safetensors"))
    host = AdapterHost(speech_model.load(SECOND, base, "cpu"))
    host.add(adapter)
    plain = SpeakRow(text="no", voice="default", seed=1, settings=SHORT)
    tuned = replace(plain, adapter_sha256=adapter.sha256, lora_scale=1.0)
    first, silent, spoken = host.speak([plain, replace(tuned, lora_scale=0.0), tuned])
    assert first.samples.tobytes() == silent.samples.tobytes()
    assert first.samples.tobytes() != spoken.samples.tobytes()


def test_a_run_tells_both_losses(workspace: Workspace, checkpoint: Checkpoint) -> None:
    """The curves have upstream's two losses by name, in training and in validation, and two checkpoints."""
    events = [json.loads(line) for line in RunFolder(workspace.runs / checkpoint.run_id).events.open(encoding="utf-8")]
    assert "failed" not in [event["data"].get("reason") for event in events]
    for kind in ("step", "validation"):
        told = [event["data"]["parts"] for event in events if event["kind"] == kind]
        assert told
        assert all(list(parts) == ["diff", "stop"] for parts in told)
    assert checkpoint.epoch == 2
    assert checkpoint.adapter.parts == ("lm", "dit")
    assert len(checkpoints.listing(workspace.runs / checkpoint.run_id)) == 2


def test_what_cannot_be_trained_is_named_before_the_first_step(
    workspace: Workspace, checkpoint: Checkpoint, base: Path, tmp_path: Path
) -> None:
    """Data at the rate that the model speaks at makes no run; a row that is longer than the model's positions ends one
    before a step.
    """
    prepared = dataset.listing(workspace.datasets)[0]
    config = runs.get(workspace.runs / checkpoint.run_id).config
    with pytest.raises(BadInput, match=r"at 48000 Hz; prepare it for voxcpm2 \(16000 Hz\)"):
        making.create(tmp_path, config, now=1.0, dataset=replace(prepared, sample_rate=48_000))
    short = shutil.copytree(base, tmp_path / "short")
    told = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(told | {"max_length": 60}))
    run = make_run(workspace, base_model=str(short))
    assert worker.work(run.path) != 0
    ended = runs.get(run.path)
    assert (ended.state, ended.step) == (RunState.FAILED, 0)
    assert re.search(r"Row \S+ takes \d+ positions.*the model has 60.*leave the row out", ended.error)


def test_a_sweep_through_references_ends_in_what_can_be_judged(
    workspace: Workspace, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a recording of the dataset and after none, with every measure that can judge."""
    tuned = Candidate(backend=SECOND, voice="default", checkpoint_id=checkpoint.id, lora_scale=SCALE)
    sweeping.assert_swept_through_references(
        workspace, tuned, "no", SHORT, model=speech_model.VoxcpmModel, patch=monkeypatch
    )


def test_a_sweep_renders_base_and_checkpoint(workspace: Workspace, checkpoint: Checkpoint) -> None:
    """Two clips at 48 kHz, measured and kept, over one loaded base."""
    tuned = Candidate(backend=SECOND, voice="default", checkpoint_id=checkpoint.id, lora_scale=SCALE)
    clips = sweeping.rendered(workspace, tuned, "no", SHORT)
    assert {clip.sample_rate for clip in clips} == {48_000}
    assert len(clips) == 2


def test_a_blind_verdict_promotes_and_exports(workspace: Workspace, checkpoint: Checkpoint) -> None:
    """Sweep, blind sitting, verdict, promotion and export, all through the studio; the export is heard again."""
    tuned = Candidate(backend=SECOND, voice="default", checkpoint_id=checkpoint.id, lora_scale=SCALE)
    with Studio(workspace, clock=lambda: 6.0, device="cpu") as studio:
        bundle = judged_and_exported(studio, tuned, "no", SHORT)
    assert "Spoken through plain PEFT" in bundle.notes[0]


@pytest.mark.parametrize(
    ("trained", "files"),
    [("checkpoint", ("lora_weights.safetensors", "lora_config.json")), ("whole", ("model.safetensors", "config.json"))],
)
def test_an_export_speaks_in_upstreams_class(
    request: pytest.FixtureRequest,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trained: str,
    files: tuple[str, ...],
) -> None:
    """The bundle's own script, which knows upstream's package and its native files alone, gives the app's samples: with
    an adapter, and with full weights between base and trained.
    """
    checkpoint: Checkpoint = request.getfixturevalue(trained)
    candidate = Candidate(backend=SECOND, voice="default", checkpoint_id=checkpoint.id, lora_scale=SCALE)
    adapter = checkpoint.adapter
    promoted = replace(
        make_promotion(candidate),
        adapter_sha256=adapter.sha256,
        base_sha256=adapter.base_sha256,
        settings=SHORT,
        harness_version=harness.HARNESS_VERSION,
    )
    host = AdapterHost(speech_model.load(SECOND, base, "cpu"))
    host.add(adapter)

    def say(text: str, seed: int) -> Speech:
        return harness.speak(text, host=host, candidate=candidate, adapter=adapter, seed=seed, settings=SHORT)

    bundle = writing.export(
        promoted,
        adapter=adapter,
        evidence=Evidence(verdicts=(replace(make_verdict(candidate, Outcome.PASS), id=promoted.verdict_id),)),
        target=tmp_path / "robin",
        now=1.0,
        speak=say,
    )
    assert not bundle.notes  # it was spoken through plain PEFT before it was written
    assert {f"{record.NATIVE}/{file}" for file in files} <= bundle.files.keys()
    monkeypatch.setattr(sys, "argv", ["speak.py", "no", str(tmp_path / "no.wav")])
    runpy.run_path(str(bundle.path / record.SCRIPT_FILE), run_name="__main__")
    found, rate = soundfile.read(tmp_path / "no.wav", dtype="float32")
    # upstream's own settings, and a row by itself: the harness gives each chunk a seed of its own and fades its edges
    monkeypatch.setattr(generation, "DIFFUSION_STEPS", 10)
    monkeypatch.setattr(generation, "SPARE_PATCHES", 10)
    told = {"voice": "default", "seed": 42, "settings": GenerationSettings(max_factor=3.0)}
    row = SpeakRow(text="no", **told, adapter_sha256=adapter.sha256, lora_scale=SCALE)  # type: ignore[arg-type]
    expected, plain = host.speak([row, replace(row, lora_scale=0.0)])
    assert not np.array_equal(expected.samples, plain.samples)
    assert rate == expected.sample_rate
    assert len(found) == len(expected.samples)
    assert np.max(np.abs(found - expected.samples)) < writing.LARGEST_DIFFERENCE
