"""The whole way with a tiny Qwen3-TTS that lives elsewhere: this interpreter has none of its packages, and trains,
sweeps, exports and checks it all the same.

Runs where an interpreter is named for it, as `make test-voices` does.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine import checkpoints, dataset, environments, harness, runs
from engine.backends.serve.proxy import ServedModel
from engine.bundle import writing
from engine.bundle.record import Evidence, Variants
from engine.runs import launcher, making
from engine.studio import Request, Studio
from engine.types import (
    Bundle,
    Candidate,
    Checkpoint,
    GenerationSettings,
    Line,
    Outcome,
    Refused,
    RunConfig,
    RunState,
    Script,
    Tier,
)
from engine.workspace import Workspace
from tests.backends.blind_loop import audited_and_prepared
from tests.judgement_factory import make_promotion, make_verdict
from tests.qwen3_tts_factory import NAME

PYTHON = os.environ.get("EARMARK_PYTHON_QWEN3_TTS", "")
REPOSITORY = Path(__file__).resolve().parents[3]
TEXTS = ("Please go home.", "The lamp is warm.", "It is late now.")
SHORT = GenerationSettings(temperature=0.9, max_factor=0.3)
PATIENCE_SEC = 300.0

pytestmark = pytest.mark.skipif(not PYTHON, reason="no interpreter is named for it: make test-voices")


@pytest.fixture(scope="module", name="base")
def _base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model folder, made where its classes are and named as a person would name it."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    program = f"from pathlib import Path; from tests import qwen3_tts_factory as f; f.make(Path({str(folder)!r}))"
    subprocess.run([PYTHON, "-c", program], cwd=REPOSITORY, check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EARMARK_QWEN3_TTS", str(folder))
        yield folder


@pytest.fixture(scope="module", name="workspace")
def _workspace(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("loop")
    audited_and_prepared(root / "home", root / "source", NAME)
    return Workspace(root / "home")


@pytest.fixture(scope="module", name="checkpoint")
def _checkpoint(workspace: Workspace) -> Checkpoint:
    """The last one of a run that was launched as the app launches it: with the voice's own interpreter."""
    prepared = dataset.listing(workspace.datasets)[0]
    config = RunConfig(
        name="tiny", dataset=prepared.id, backend=NAME, voice="default@english", parts=("talker", "predictor"), rank=4,
        alpha=8.0, learning_rate=5e-3, epochs=2, batch_tokens=400, device="cpu", listen=False,
    )  # fmt: skip
    run = making.create(workspace.runs, config, now=1.0, dataset=prepared)
    launcher.launch(run.path)
    end = time.monotonic() + PATIENCE_SEC
    while not runs.get(run.path).state.is_over and time.monotonic() < end:
        time.sleep(0.2)
    found = runs.get(run.path)
    assert found.state is RunState.COMPLETED, (run.path / "train.log").read_text()[-2000:]
    losses = runs.series(run.path).train_loss
    half = len(losses) // 2  # the same batches in both epochs, in another order
    assert sum(losses[half:]) < sum(losses[:half]), losses
    return checkpoints.listing(run.path)[-1]


def exported(studio: Studio, candidate: Candidate, checkpoint: Checkpoint, target: Path) -> Bundle:
    """An export of a promoted candidate: said by plain PEFT in the other environment as it is said here."""
    adapter, used = checkpoint.adapter, environments.interpreter(studio.workspace, NAME)
    promoted = replace(
        make_promotion(candidate),
        adapter_sha256=adapter.sha256,
        base_sha256=adapter.base_sha256,
        settings=SHORT,
        harness_version=harness.HARNESS_VERSION,
    )
    evidence = Evidence(verdicts=(replace(make_verdict(candidate, Outcome.PASS), id=promoted.verdict_id),))
    written = writing.export(
        promoted,
        adapter=adapter,
        evidence=evidence,
        target=target,
        now=1.0,
        speak=lambda text, seed: studio.speak(text, candidate=candidate, seed=seed, settings=SHORT.flat),
        interpreter=used,
    )
    assert not written.notes
    with pytest.raises(Refused, match="leave the form merged out"):
        writing.export(
            promoted,
            adapter=adapter,
            evidence=evidence,
            target=target.with_name("merged"),
            now=1.0,
            wanted=Variants(merged=True),
            interpreter=used,
        )
    return studio.verify(written.path)


def test_the_voice_and_its_language_stay_with_the_adapter(checkpoint: Checkpoint) -> None:
    """What was told in training is what is told in speaking, and the vector is kept to the number."""
    assert checkpoint.adapter.voice == "default@english"
    assert sum(name.startswith("speaker.") for name in checkpoint.adapter.voice_settings) == 32


def test_the_loop_from_sweep_to_export(workspace: Workspace, checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Swept in mixed batches, exported, spoken through plain PEFT in the other environment, and
    by upstream's own class from the bundle's own script.
    """
    candidate = Candidate(backend=NAME, voice=checkpoint.adapter.voice, checkpoint_id=checkpoint.id, lora_scale=0.6)
    with Studio(workspace, clock=lambda: 1.0, device="cpu") as studio:
        assert studio.check_voice(NAME, "hello") == 1.0
        base = Candidate(backend=NAME, voice=candidate.voice)
        lines = tuple(Line(id=tier.value, tier=tier, text=text) for tier, text in zip(Tier, TEXTS, strict=True))
        script = Script(name="tiny", language="en", lines=lines, sha256="e" * 64)
        clips = studio.render(Request(candidates=(base, candidate), script=script, settings=SHORT.flat))
        assert len({clip.path for clip in clips}) == 2 * len(Tier)
        bundle = exported(studio, candidate, checkpoint, tmp_path / "bundle")
        assert any("Spoken through plain PEFT" in note for note in bundle.notes), bundle.notes
        with studio.host(NAME) as host:
            assert isinstance(host.model, ServedModel)
            pid = host.model.pid
        imported = studio.import_adapter(bundle.path, backend=NAME, name="back")
        assert imported.adapter.sha256 == checkpoint.adapter.sha256
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    target = tmp_path / "said.wav"
    told = subprocess.run(
        [PYTHON, str(bundle.path / "speak.py"), "hello", str(target)], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    samples, rate = soundfile.read(target)
    assert rate == 24_000
    assert np.abs(samples).max() > 0
