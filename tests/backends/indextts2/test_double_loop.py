"""The whole way of an IndexTTS2 over a stand-in for upstream's classes, by LoRA and in full: data, run, stop and
resume, sweep, blind sitting, promotion and export. The voice's own environment shows the same of the real classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import backends, checkpoints, dataset
from engine.adapters import AdapterHost
from engine.backends.indextts2 import checkout, speech_model
from engine.runs import making
from engine.studio import Studio
from engine.types import Bundle, Candidate, Checkpoint, GenerationSettings, Reference, Run, RunConfig, SpeakRow
from engine.workspace import Workspace
from tests import indextts2_double
from tests.backends import resuming
from tests.backends.blind_loop import audited_and_prepared, judged_and_exported
from tests.indextts2_factory import NAME

SHORT = GenerationSettings(temperature=0.8, max_factor=0.1)
SCALES = {"lora": 0.6, "full": 1.0}
CONFIGS = {
    "lora": RunConfig(
        name="tiny", backend=NAME, parts=("gpt",), rank=4, alpha=8.0, dropout=0.1, learning_rate=1e-2, epochs=2,
        batch_tokens=1000, device="cpu", listen=False,
    ),
    "full": RunConfig(
        name="whole", backend=NAME, method="full", parts=("gpt",), learning_rate=1e-3, epochs=2, batch_tokens=1000,
        device="cpu", listen=False,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model folder and a checkout, named as a person would name them; the stand-in answers for both."""
    folder = indextts2_double.make(tmp_path_factory.mktemp("model") / "base")
    code = tmp_path_factory.mktemp("code")
    (code / checkout.GPT_FILE).parent.mkdir(parents=True)
    (code / checkout.GPT_FILE).touch()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EARMARK_INDEXTTS2", str(folder))
        patched.setenv(checkout.VARIABLE, str(code))
        patched.setattr(speech_model, "load", lambda _name, path, _device: indextts2_double.load(path))
        yield folder


@pytest.fixture(scope="module", name="workspace")
def _workspace(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("loop")
    audited_and_prepared(root / "home", root / "source", NAME)
    return Workspace(root / "home")


def make_run(workspace: Workspace, method: str) -> Run:
    prepared = dataset.listing(workspace.datasets)[0]
    return making.create(workspace.runs, replace(CONFIGS[method], dataset=prepared.id), now=1.0, dataset=prepared)


@pytest.fixture(scope="module", name="checkpoint", params=CONFIGS)
def _checkpoint(workspace: Workspace, request: pytest.FixtureRequest) -> Checkpoint:
    """The last one of an undisturbed run."""
    run = make_run(workspace, request.param)
    resuming.trained(run.path)
    return checkpoints.listing(run.path)[-1]


def test_a_stopped_and_resumed_run_is_the_same_run(
    workspace: Workspace, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of an epoch and resumed, it writes the checkpoints of the run that was not, to the byte:
    which prompt a clip is learned after and what dropout leaves out follow the step.
    """
    halved = make_run(workspace, checkpoint.adapter.kind)
    resuming.trained_in_two(halved.path, after_step=1, patch=monkeypatch)
    resuming.assert_same(halved.path, workspace.runs / checkpoint.run_id)


def test_the_loop_after_a_reference(workspace: Workspace, checkpoint: Checkpoint) -> None:
    """Base and checkpoint are rendered after a recording, judged blind, promoted and exported; the export, spoken
    through plain PEFT or over the base's weights, says what was judged, and carries upstream's `gpt.pth`.
    """
    scale = SCALES[checkpoint.adapter.kind]
    candidate = Candidate(backend=NAME, voice="default", checkpoint_id=checkpoint.id, lora_scale=scale)
    prepared = dataset.listing(workspace.datasets)[0]
    with Studio(workspace, clock=lambda: 1.0, device="cpu") as studio:
        assert studio.check_voice(NAME, "we go") == 1.0
        kept = studio.reference_of_row(prepared.id, dataset.utterances(prepared)[0].id).reference
        bundle = judged_and_exported(studio, candidate, "We go home.", SHORT, references=(kept,))
        clips = studio.clips([candidate, Candidate(backend=NAME, voice="default")])
    assert all(clip.reference is not None and clip.reference.sha256 == kept.sha256 for clip in clips)
    assert len({clip.path for clip in clips}) == 2  # the lines are one text
    assert "Spoken through plain PEFT" in bundle.notes[0]
    _assert_upstream_says_it(bundle, checkpoint, scale, kept)


def _assert_upstream_says_it(bundle: Bundle, checkpoint: Checkpoint, scale: float, reference: Reference) -> None:
    """The exported `gpt.pth`, laid in a fresh model, says what base and checkpoint say together."""
    base = backends.folder(NAME)
    row = SpeakRow(text="go home", voice="default", seed=2, settings=SHORT, reference=reference)
    host = AdapterHost(indextts2_double.load(base))
    host.add(checkpoint.adapter)
    tuned = replace(row, adapter_sha256=checkpoint.adapter.sha256, lora_scale=scale)
    expected, plain = host.speak([tuned, row])
    merged = indextts2_double.load(base)
    merged._nets.voice.load_state_dict(torch.load(bundle.path / "native" / "gpt.pth", weights_only=True))
    assert np.allclose(merged.speak([row])[0].samples, expected.samples, atol=1e-4)
    assert not np.array_equal(plain.samples, expected.samples)
