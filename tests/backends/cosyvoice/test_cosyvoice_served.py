"""The whole way with a tiny CosyVoice 3 that lives in processes of its own, and CosyVoice 2 as the control beside it;
on the classes of a checkout with CosyVoice 1, too.

On the stand-in of upstream's classes its interpreter is this one, with a folder of its own for what hears: so nothing
of it is loaded here. `make test-voices` runs the same with the classes of a checkout, in the environment made for them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import checkpoints, clip_tokens, dataset, environments, runs
from engine.backends.serve.proxy import ServedModel
from engine.runs import launcher, making
from engine.studio import Studio
from engine.types import (
    Candidate,
    Checkpoint,
    Control,
    ControlPrompt,
    GenerationSettings,
    NotFound,
    RunConfig,
    RunState,
    Tier,
)
from engine.workspace import Workspace
from tests import cosyvoice_factory
from tests.backends.blind_loop import audited_and_prepared, judged_and_exported
from tests.cosyvoice_factory import CODE, EARS, FIRST, IS_REAL, SECOND, THIRD

SHORT = GenerationSettings(temperature=0.9, top_k=25, top_p=0.8, max_factor=0.4)
TEXT = "We go home."
PATIENCE_SEC = 300.0
PYTHON = os.environ.get("EARMARK_PYTHON_COSYVOICE3", "")

pytestmark = pytest.mark.skipif(IS_REAL and not PYTHON, reason="no interpreter is named for it: make test-voices")


@pytest.fixture(autouse=True, scope="module", name="named")
def _named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Weights, checkout, interpreter and its folders, as a person would name them."""
    root = tmp_path_factory.mktemp("cosyvoice")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EARMARK_COSYVOICE_CHECKOUT", str(CODE))
        for name in (FIRST, SECOND, THIRD):
            patched.setenv(f"EARMARK_{name.upper()}", str(made(root / name, name)))
            patched.setenv(f"EARMARK_PYTHON_{name.upper()}", PYTHON or sys.executable)
            if not IS_REAL:
                patched.setenv(f"EARMARK_PATH_{name.upper()}", str(EARS))
        yield


def made(folder: Path, name: str) -> Path:
    """A model, made where its classes are."""
    if not IS_REAL:
        return cosyvoice_factory.make(folder, name)
    import subprocess

    program = (
        f"from pathlib import Path; from tests import cosyvoice_factory as f; f.make(Path({str(folder)!r}), {name!r})"
    )
    repository = Path(__file__).resolve().parents[3]
    subprocess.run([PYTHON, "-c", program], cwd=repository, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module", name="tuned", params=[THIRD, *([FIRST] if IS_REAL else [])])
def _tuned(request: pytest.FixtureRequest) -> str:
    """The version that is trained."""
    name: str = request.param
    return name


@pytest.fixture(scope="module", name="workspace")
def _workspace(named: None, tuned: str, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("loop")
    audited_and_prepared(root / "home", root / "source", tuned)
    return Workspace(root / "home")


@pytest.fixture(scope="module", name="checkpoint")
def _checkpoint(workspace: Workspace, tuned: str) -> Checkpoint:
    """The last one of a run over both parts, launched as the app launches it: with the voice's own interpreter."""
    prepared = dataset.listing(workspace.datasets)[0]
    config = RunConfig(
        name="tiny", dataset=prepared.id, backend=tuned, parts=("llm", "flow"), target_modules=(), rank=4, alpha=8.0,
        learning_rate=5e-3, epochs=2, batch_tokens=400, device="cpu", listen=False, one_part_at_a_time=True,
        weights_accepted_by="Ana, who made them up",
    )  # fmt: skip
    run = making.create(workspace.runs, config, now=1.0, dataset=prepared)
    launcher.launch(run.path)
    end = time.monotonic() + PATIENCE_SEC
    while not runs.get(run.path).state.is_over and time.monotonic() < end:
        time.sleep(0.2)
    found = runs.get(run.path)
    assert found.state is RunState.COMPLETED, (run.path / "train.log").read_text()[-2000:]
    series = runs.series(run.path)
    assert series.val_loss[-1] < series.val_loss[0]
    return checkpoints.listing(run.path)[-1]


def test_the_loop_with_another_model_as_control(workspace: Workspace, tuned: str, checkpoint: Checkpoint) -> None:
    """A voice without a reference, tuned in one process and spoken in another, is judged blind by a gate whose
    control is CosyVoice 2 cloning a reference of its own, promoted, exported and verified; all processes are gone
    afterwards.
    """
    assert checkpoint.adapter.parts == ("llm", "flow")
    assert sum(name.startswith("speaker_") for name in checkpoint.adapter.voice_settings) == 192
    candidate = Candidate(backend=tuned, voice=checkpoint.adapter.voice, checkpoint_id=checkpoint.id, lora_scale=0.6)
    control = Candidate(backend=SECOND, voice="default")
    prepared = dataset.listing(workspace.datasets)[0]
    clip = dataset.utterances(prepared)[0]
    with Studio(workspace, clock=lambda: 1.0, device="cpu") as studio:
        prompt = studio.reference(studio.reference_of_row(prepared.id, clip.id).name)
        cloning = Control(backend=SECOND, voice="default", prompt=ControlPrompt.OWN, reference_sha256=prompt.sha256)
        bundle = judged_and_exported(studio, candidate, TEXT, SHORT, control=cloning)
        assert any("Spoken through plain PEFT" in note for note in bundle.notes), bundle.notes
        heard = studio.clips([control])
        assert len(heard) == len(Tier)
        assert all(one.reference is not None for one in heard)
        told = [clip_tokens.read(one.path) for one in heard]
        assert all(chunks and chunks[0].said and chunks[0].reference for chunks in told), "tokens come over the pipe"
        pids = []
        for name in (SECOND, tuned):
            with studio.host(name) as host:
                assert isinstance(host.model, ServedModel)
                pids.append(host.model.pid)
    for pid in pids:
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_all_versions_share_one_environment(tmp_path: Path) -> None:
    """One folder declares what all need: what is installed for one is there for the others, and each of its packages
    is one that the checkout is looked at for.
    """
    workspace = Workspace(tmp_path)
    assert len({environments.folder(workspace, name) for name in (FIRST, SECOND, THIRD)}) == 1
    wanted = environments.requirements(THIRD).packages()
    assert {"torch", "onnxruntime", "diffusers"} <= set(wanted)


def test_an_interpreter_that_lacks_packages_is_told_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's own proof, and whoever loads by hand, hear which packages are not there."""
    from engine.backends.cosyvoice import checkout

    monkeypatch.setattr(checkout, "NEEDED", ("yaml", "no_such_package"))
    with pytest.raises(NotFound, match="no_such_package: run `python -m engine voices install cosyvoice3`"):
        checkout.must_be_usable()
