"""The whole way with a tiny Pocket TTS: data, run, sweep, export, and upstream's own class says what the app says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine import backends, checkpoints, dataset, harness, needs, runs
from engine.adapters import AdapterHost
from engine.backends import sizes
from engine.backends.transformers_tts.pocket_tts import PocketTtsModel
from engine.bundle import record, writing
from engine.bundle.record import Evidence
from engine.runs import making
from engine.runs.folder import RunFolder
from engine.studio import Studio
from engine.train import loop, worker
from engine.types import (
    BadInput,
    Bundle,
    Candidate,
    Checkpoint,
    GenerationSettings,
    NotFound,
    Outcome,
    Run,
    RunConfig,
    RunState,
    SpeakRow,
    Speech,
)
from engine.workspace import Workspace
from tests import transformers_factory
from tests.backends import sweeping
from tests.backends.blind_loop import audited_and_prepared, judged_and_exported
from tests.judgement_factory import make_promotion, make_verdict

POCKET = "pocket_tts"
SETTINGS = GenerationSettings(temperature=0.7)  # and with max_factor 3 what upstream lets a text take
LINE = "Please go home."
SCALE = 0.6
IMPORT = re.compile(r"^\s*(?:import|from) [\w.]+", re.MULTILINE)


@pytest.fixture(scope="module", name="base")
def _base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model folder, named as a person would name it."""
    folder = transformers_factory.write_pocket_tts(tmp_path_factory.mktemp("model") / "pocket-tts")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EARMARK_POCKET_TTS", str(folder))
        patched.setenv("HF_HUB_OFFLINE", "1")
        yield folder


@pytest.fixture(scope="module", name="workspace")
def _workspace(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("loop")
    prepared = audited_and_prepared(root / "home", root / "source", POCKET)
    assert (prepared.sample_rate, prepared.unresolved, prepared.excluded_count) == (24_000, 0, 0)
    assert needs.of(POCKET).trainable_here
    return Workspace(root / "home")


def make_run(workspace: Workspace, **changes: object) -> Run:
    prepared = dataset.listing(workspace.datasets)[0]
    config = RunConfig(
        name="tiny", dataset=prepared.id, backend=POCKET, parts=("lm", "flow"), rank=4, alpha=8.0,
        learning_rate=2e-2, epochs=2, batch_tokens=100, device="cpu", listen=False,
    )  # fmt: skip
    config = replace(config, **changes)  # type: ignore[arg-type]
    return making.create(workspace.runs, config, now=1.0, dataset=prepared)


@pytest.fixture(scope="module", name="checkpoint")
def _checkpoint(workspace: Workspace) -> Checkpoint:
    """The last one of a run of two epochs, trained in this process."""
    run = make_run(workspace)
    assert worker.work(run.path) == 0, runs.get(run.path).error
    return checkpoints.listing(run.path)[-1]


def weights(run: Run) -> dict[str, str]:
    return {
        f"{c.path.name}/{path.relative_to(c.path)}": hashlib.sha256(path.read_bytes()).hexdigest()
        for c in checkpoints.listing(run.path)
        for path in sorted(c.path.rglob("*.safetensors"))
    }


def test_without_a_folder_it_is_left_out_and_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists and forms of a machine that has no such model go on, and asking for one names the variable."""
    for name, variable in (("pocket_tts", "EARMARK_POCKET_TTS"), ("csm", "EARMARK_CSM"), ("dia", "EARMARK_DIA")):
        monkeypatch.delenv(variable, raising=False)
        assert name not in backends.names()
        with pytest.raises(NotFound, match=variable):
            backends.load(name)
        assert not needs.of(name).trainable_here


def test_a_stopped_and_resumed_run_is_the_same_run(
    workspace: Workspace, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after its first step and resumed, it writes the checkpoints of the run that was not, bit for bit: also
    what upstream draws from a generator of its own follows the step.
    """
    whole, halved = runs.get(workspace.runs / checkpoint.run_id), make_run(workspace)
    original = loop.step

    def step(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        if runs.get(halved.path).step == 1:
            RunFolder(halved.path).stop_flag.write_text("stop")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", step)
        assert worker.work(halved.path) == 0
    assert (runs.get(halved.path).state, runs.get(halved.path).step) == (RunState.STOPPED, 1)
    RunFolder(halved.path).stop_flag.unlink()
    assert worker.work(halved.path) == 0
    assert weights(whole).items() <= weights(halved).items()
    assert runs.series(halved.path).val_loss == runs.series(whole.path).val_loss


def test_a_run_tells_both_losses(workspace: Workspace, checkpoint: Checkpoint) -> None:
    """The curves have the flow's loss and the end's, in training and in validation, and two checkpoints."""
    events = [json.loads(line) for line in RunFolder(workspace.runs / checkpoint.run_id).events.open(encoding="utf-8")]
    for kind in ("step", "validation"):
        told = [event["data"]["parts"] for event in events if event["kind"] == kind]
        assert told
        assert all(list(parts) == ["flow", "end"] for parts in told)
    assert checkpoint.adapter.parts == ("lm", "flow")
    assert len(checkpoints.listing(workspace.runs / checkpoint.run_id)) == 2


def test_every_weight_but_the_codecs_is_trained(workspace: Workspace, base: Path) -> None:
    """Full fine-tuning with layers computed twice, in bf16: all weights but statistics, tables and what no clip of this
    data moves (there is no audio prompt in it) are in the checkpoint; the host speaks it, and scale 0 is the base to
    the bit.
    """
    run = make_run(
        workspace,
        method="full", epochs=1, learning_rate=1e-3, gradient_checkpointing=True, precision="bf16", accumulation=2,
    )  # fmt: skip
    assert worker.work(run.path) == 0, runs.get(run.path).error
    adapter = checkpoints.listing(run.path)[-1].adapter
    shapes = {part: sizes.shapes(adapter.path / part / "full.safetensors") for part in adapter.parts}
    trained = set(shapes["lm"]) | {f"flow_head.{name}" for name in shapes["flow"]}
    untrained = {name for name in sizes.shapes(base / "model.safetensors") if name not in trained}
    assert trained < set(sizes.shapes(base / "model.safetensors"))
    still = {"latent_mean", "latent_std", "model.audio_prompt_proj.weight"}
    assert all(name in still or name.endswith(".freqs") for name in untrained)
    host = AdapterHost(backends.load(POCKET))
    host.add(adapter)
    plain = SpeakRow(text=LINE, voice="default", seed=1, settings=SETTINGS)
    tuned = replace(plain, adapter_sha256=adapter.sha256, lora_scale=1.0)
    first, silent, spoken = (host.speak([row])[0] for row in (plain, replace(tuned, lora_scale=0.0), tuned))
    assert first.samples.tobytes() == silent.samples.tobytes()
    assert first.samples.tobytes() != spoken.samples.tobytes()


def test_what_cannot_be_trained_is_named_before_the_first_step(
    workspace: Workspace, checkpoint: Checkpoint, base: Path, tmp_path: Path
) -> None:
    """Data of another rate makes no run; a row that is longer than the model's positions ends one before a step."""
    prepared = dataset.listing(workspace.datasets)[0]
    config = runs.get(workspace.runs / checkpoint.run_id).config
    with pytest.raises(BadInput, match=r"prepare it for pocket_tts \(24000 Hz\)"):
        making.create(tmp_path, config, now=1.0, dataset=replace(prepared, sample_rate=16_000))
    short = shutil.copytree(base, tmp_path / "short")
    told = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(told | {"max_position_embeddings": 60}))
    run = make_run(workspace, base_model=str(short))
    assert worker.work(run.path) != 0
    ended = runs.get(run.path)
    assert (ended.state, ended.step) == (RunState.FAILED, 0)
    assert re.search(r"Row \S+ takes \d+ positions.*the model has 60.*leave the row out", ended.error)


def test_a_sweep_through_references_ends_in_what_can_be_judged(
    workspace: Workspace, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a recording of the dataset and after none, with every measure that can judge."""
    tuned = Candidate(backend=POCKET, voice="default", checkpoint_id=checkpoint.id, lora_scale=SCALE)
    sweeping.assert_swept_through_references(workspace, tuned, LINE, SETTINGS, model=PocketTtsModel, patch=monkeypatch)


def test_a_sweep_renders_base_and_checkpoint(workspace: Workspace, checkpoint: Checkpoint) -> None:
    """Two clips at 24 kHz, measured and kept, over one loaded base."""
    tuned = Candidate(backend=POCKET, voice="default", checkpoint_id=checkpoint.id, lora_scale=SCALE)
    clips = sweeping.rendered(workspace, tuned, LINE, SETTINGS)
    assert {clip.sample_rate for clip in clips} == {24_000}
    assert len({clip.path for clip in clips}) == 2


def test_a_blind_verdict_promotes_and_exports(workspace: Workspace, checkpoint: Checkpoint) -> None:
    """Sweep, blind sitting, verdict, promotion and export, all through the studio; the export is heard again."""
    tuned = Candidate(backend=POCKET, voice="default", checkpoint_id=checkpoint.id, lora_scale=SCALE)
    with Studio(workspace, clock=lambda: 6.0, device="cpu") as studio:
        bundle = judged_and_exported(studio, tuned, LINE, SETTINGS)
    assert "Spoken through plain PEFT" in bundle.notes[0]


@pytest.fixture(scope="module", name="candidate")
def _candidate(checkpoint: Checkpoint) -> Candidate:
    return Candidate(backend=POCKET, voice="default", checkpoint_id=checkpoint.id, lora_scale=SCALE)


@pytest.fixture(scope="module", name="host")
def _host(checkpoint: Checkpoint) -> AdapterHost:
    host = AdapterHost(backends.load(POCKET))
    host.add(checkpoint.adapter)
    return host


@pytest.fixture(scope="module", name="bundle")
def _bundle(
    checkpoint: Checkpoint, candidate: Candidate, host: AdapterHost, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    adapter = checkpoint.adapter
    promoted = replace(
        make_promotion(candidate),
        adapter_sha256=adapter.sha256,
        base_sha256=adapter.base_sha256,
        settings=SETTINGS,
        harness_version=harness.HARNESS_VERSION,
    )

    def say(text: str, seed: int) -> Speech:
        return harness.speak(text, host=host, candidate=candidate, adapter=adapter, seed=seed, settings=SETTINGS)

    return writing.export(
        promoted,
        adapter=adapter,
        evidence=Evidence(verdicts=(replace(make_verdict(candidate, Outcome.PASS), id=promoted.verdict_id),)),
        target=tmp_path_factory.mktemp("exports") / "robin",
        now=1.0,
        speak=say,
    )


def run_script(script: Path, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run an exported script as its own program; it may know nothing of Earmark."""
    imported = {line.split()[1].partition(".")[0] for line in IMPORT.findall(script.read_text(encoding="utf-8"))}
    assert "transformers" in imported
    assert not imported & {"engine", "tests", "ui", "app"}
    with monkeypatch.context() as patched:
        patched.setattr(sys, "argv", [str(script), *arguments])
        for name in [name for name in os.environ if name.startswith("EARMARK")]:
            patched.delenv(name)
        runpy.run_path(str(script), run_name="__main__")


def test_an_export_speaks_in_upstreams_class(
    bundle: Bundle,
    checkpoint: Checkpoint,
    host: AdapterHost,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bundle's own script, which knows transformers and PEFT alone, gives the samples that the app gives a row with
    its seed; the adapter is in them.
    """
    assert not bundle.notes  # it was spoken through plain PEFT before it was written
    target = tmp_path / "said.wav"
    run_script(bundle.path / record.SCRIPT_FILE, [str(base), LINE, str(target), "7"], monkeypatch)
    found, rate = soundfile.read(target, dtype="float32")
    adapter = checkpoint.adapter
    row = SpeakRow(
        text=LINE, voice="default", seed=7, settings=SETTINGS, adapter_sha256=adapter.sha256, lora_scale=SCALE
    )
    expected, plain = host.speak([row])[0], host.speak([replace(row, lora_scale=0.0)])[0]
    assert rate == expected.sample_rate
    assert len(found) == len(expected.samples)
    assert np.max(np.abs(found - expected.samples)) < writing.LARGEST_DIFFERENCE
    assert len(plain.samples) != len(found) or np.max(np.abs(plain.samples - found)) > writing.LARGEST_DIFFERENCE


@pytest.mark.parametrize(
    ("kind", "write", "frame"),
    [("csm", transformers_factory.write_csm, 1920), ("dia", transformers_factory.write_dia, 2048)],
)
def test_an_export_of_codes_speaks_in_upstreams_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, write: Callable[[Path], Path], frame: int
) -> None:
    """Likewise the scripts of CSM and Dia, without noise: upstream draws otherwise."""
    import peft

    from engine.adapter_files import write_adapter

    base = write(tmp_path / kind)
    monkeypatch.setenv(backends.FOLDERS[kind], str(base))
    cold = GenerationSettings(temperature=0.0, max_factor=0.5)
    bundle, model = tmp_path / "robin", backends.load(kind)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for part in model.lora_parts():
            config = peft.LoraConfig(
                r=4, lora_alpha=64, target_modules=list(part.target_modules), init_lora_weights=False
            )
            fresh = backends.load(kind).part(part.name)
            peft.get_peft_model(fresh, config).save_pretrained(str(bundle / part.name))  # type: ignore[arg-type]
    adapter = write_adapter(
        bundle, backend=kind, base_sha256=model.base_sha256, voice="default", parts=model.capabilities.parts, rank=4,
        alpha=64.0, voice_settings={},
    )  # fmt: skip
    told = {"parts": list(adapter.parts), "lora_scale": SCALE, "voice": "default"}
    settings = {"temperature": 0.0, "top_k": 30, "top_p": 1.0, "max_factor": 0.5}
    (bundle / "voice.json").write_text(json.dumps(told | {"settings": settings}))
    exporter = backends.exporter(kind)
    assert exporter is not None
    (bundle / "speak.py").write_text(exporter.script())
    run_script(bundle / "speak.py", [str(base), LINE, str(tmp_path / "said.wav")], monkeypatch)
    found, _ = soundfile.read(tmp_path / "said.wav", dtype="float32")
    host = AdapterHost(model)
    host.add(adapter)
    row = SpeakRow(text=LINE, voice="default", seed=7, settings=cold, adapter_sha256=adapter.sha256, lora_scale=SCALE)
    expected, plain = host.speak([row])[0], host.speak([replace(row, lora_scale=0.0)])[0]
    same = min(len(found), len(expected.samples))
    assert abs(len(found) - len(expected.samples)) <= frame  # a frame more or less of what is let a text take
    assert np.max(np.abs(found[:same] - expected.samples[:same])) < writing.LARGEST_DIFFERENCE
    assert np.max(np.abs(found[:same] - plain.samples[:same])) > writing.LARGEST_DIFFERENCE
