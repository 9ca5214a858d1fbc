"""The whole way with a tiny IndexTTS2 that lives elsewhere: trained in its own environment by LoRA and in full, swept,
judged blind after a reference, promoted, exported and verified from here.

Runs where an interpreter and a checkout are named for it, as `make test-voices` does.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import checkpoints, dataset, runs
from engine.backends.serve.proxy import ServedModel
from engine.runs import launcher, making
from engine.studio import Request, Studio
from engine.types import Candidate, Checkpoint, GenerationSettings, Run, RunConfig, RunState
from engine.workspace import Workspace
from tests.backends import resuming
from tests.backends.blind_loop import audited_and_prepared, judged_and_exported, script
from tests.indextts2_factory import NAME

PYTHON = os.environ.get("EARMARK_PYTHON_INDEXTTS2", "")
CODE = os.environ.get("INDEXTTS_DIR", "")
REPOSITORY = Path(__file__).resolve().parents[3]
SHORT = GenerationSettings(temperature=0.8, max_factor=0.1)
TEXT = "We go home."
PATIENCE_SEC = 300.0

pytestmark = pytest.mark.skipif(not (PYTHON and CODE), reason="no interpreter or checkout is named: make test-voices")


@pytest.fixture(autouse=True, scope="module", name="named")
def _named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A model folder with all of its parts, made where its classes are, and the checkout, as a person names them."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    program = (
        f"from pathlib import Path; from tests import indextts2_factory as f; f.make(Path({str(folder)!r}), w2v=True)"
    )
    subprocess.run([PYTHON, "-c", program], cwd=REPOSITORY, check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EARMARK_INDEXTTS2", str(folder))
        patched.setenv("EARMARK_INDEXTTS2_CHECKOUT", CODE)
        yield


@pytest.fixture(scope="module", name="workspace")
def _workspace(named: None, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("loop")
    audited_and_prepared(root / "home", root / "source", NAME)
    return Workspace(root / "home")


CONFIG = RunConfig(
    name="tiny", backend=NAME, parts=("gpt",), target_modules=(), rank=4, alpha=8.0, learning_rate=1e-2, epochs=2,
    batch_tokens=400, device="cpu", listen=False,
)  # fmt: skip
CONFIGS = {"lora": CONFIG, "full": replace(CONFIG, name="whole", method="full", learning_rate=1e-3)}


def made(workspace: Workspace, method: str) -> Path:
    """A run's folder."""
    prepared = dataset.listing(workspace.datasets)[0]
    return making.create(workspace.runs, replace(CONFIGS[method], dataset=prepared.id), now=1.0, dataset=prepared).path


def launched(run_dir: Path, *, until: Callable[[Run], bool] = lambda run: run.state.is_over) -> Run:
    """Launched as the app launches it, with the voice's own interpreter; the run once `until` is so of it."""
    launcher.launch(run_dir)
    return waited_for(run_dir, until)


def waited_for(run_dir: Path, until: Callable[[Run], bool]) -> Run:
    end = time.monotonic() + PATIENCE_SEC
    while not until(found := runs.get(run_dir)):
        assert time.monotonic() < end, (run_dir / "train.log").read_text()[-2000:]
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module", name="trained", params=CONFIGS)
def _trained(workspace: Workspace, request: pytest.FixtureRequest) -> list[Checkpoint]:
    """The checkpoints of an undisturbed run."""
    run_dir = made(workspace, request.param)
    found = launched(run_dir)
    assert found.state is RunState.COMPLETED, (run_dir / "train.log").read_text()[-2000:]
    series = runs.series(run_dir)
    assert series.train_loss[-1] < series.train_loss[0]
    return checkpoints.listing(run_dir)


def test_a_run_that_is_stopped_or_killed_ends_as_an_undisturbed_one(
    workspace: Workspace, trained: list[Checkpoint]
) -> None:
    """Stopped in its first epoch, killed right after a later checkpoint, each time resumed: all weights of both epochs
    are those of the other run, to the byte, whatever of it was drawn by chance.
    """
    run_dir = made(workspace, trained[0].adapter.kind)
    started = launched(run_dir, until=lambda run: run.step >= 1)
    launcher.stop(run_dir)
    stopped = waited_for(run_dir, lambda run: run.state.is_over)
    assert stopped.state is RunState.STOPPED
    assert 1 <= stopped.step < started.total_steps
    launched(run_dir, until=lambda _: len(checkpoints.listing(run_dir)) >= 2)
    launcher.stop(run_dir, force=True)
    killed = waited_for(run_dir, lambda run: run.state.is_over)
    assert killed.state is RunState.LOST
    assert launched(run_dir).state is RunState.COMPLETED
    resuming.assert_same(run_dir, workspace.runs / trained[0].run_id)


def test_the_loop_after_a_reference(workspace: Workspace, trained: list[Checkpoint]) -> None:
    """Trained there and judged here in one sitting with the base; the reference is kept with clip, promotion and
    export, and the export, spoken through plain PEFT or as full weights, says the same.
    """
    checkpoint = trained[-1]
    scale = 0.6 if checkpoint.adapter.kind == "lora" else 1.0
    candidate = Candidate(backend=NAME, voice="default", checkpoint_id=checkpoint.id, lora_scale=scale)
    prepared = dataset.listing(workspace.datasets)[0]
    clip = dataset.utterances(prepared)[0]
    with Studio(workspace, clock=lambda: 1.0, device="cpu") as studio:
        assert studio.check_voice(NAME, "we go") == 1.0
        prompt = studio.reference(studio.reference_of_row(prepared.id, clip.id).name)
        bundle = judged_and_exported(studio, candidate, TEXT, SHORT, references=(prompt,))
        assert any("Spoken through plain PEFT" in note for note in bundle.notes), bundle.notes
        assert (bundle.path / "native" / "gpt.pth").is_file()
        assert all(one.reference is not None for one in studio.clips([candidate]))
        with studio.host(NAME) as host:
            assert isinstance(host.model, ServedModel)


def test_all_checkpoints_are_kept_and_swept_beside_one_another(workspace: Workspace, trained: list[Checkpoint]) -> None:
    """Every checkpoint is there, speaks in the same process as the base, and says something else."""
    assert len(trained) == 2
    prepared = dataset.listing(workspace.datasets)[0]
    clip = dataset.utterances(prepared)[0]
    with Studio(workspace, clock=lambda: 1.0, device="cpu") as studio:
        prompt = studio.reference(studio.reference_of_row(prepared.id, clip.id).name)
        candidates = tuple(
            Candidate(backend=NAME, voice="default", checkpoint_id=one.id, lora_scale=1.0) for one in trained
        )
        asked = Request(
            candidates=(Candidate(backend=NAME, voice="default"), *candidates),
            script=script(TEXT),
            settings=SHORT.flat,
            references=(prompt,),
        )
        clips = studio.render(asked)
        assert len({one.path for one in clips}) == len(asked.candidates)  # its lines are one text
