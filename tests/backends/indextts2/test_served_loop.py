"""The whole way with a tiny IndexTTS2 that lives elsewhere: trained in its own environment by LoRA and in full, swept,
judged blind after a reference, promoted, exported and verified from here.

Runs where an interpreter and a checkout are named for it, as `make test-voices` does.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import checkpoints, dataset, runs
from engine.backends.serve.proxy import ServedModel
from engine.studio import Request, Studio
from engine.types import Candidate, Checkpoint, GenerationSettings, RunConfig, RunState
from engine.workspace import Workspace
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


def trained(workspace: Workspace, config: RunConfig) -> list[Checkpoint]:
    """The checkpoints of a run that was launched as the app launches it: with the voice's own interpreter."""
    prepared = dataset.listing(workspace.datasets)[0]
    run = runs.create(workspace.runs, replace(config, dataset=prepared.id), now=1.0, dataset=prepared)
    runs.launch(run.path)
    end = time.monotonic() + PATIENCE_SEC
    while not runs.get(run.path).state.is_over and time.monotonic() < end:
        time.sleep(0.2)
    found = runs.get(run.path)
    assert found.state is RunState.COMPLETED, (run.path / "train.log").read_text()[-2000:]
    series = runs.series(run.path)
    assert series.train_loss[-1] < series.train_loss[0]
    return checkpoints.listing(run.path)


CONFIG = RunConfig(
    name="tiny", backend=NAME, parts=("gpt",), target_modules=(), rank=4, alpha=8.0, learning_rate=1e-2, epochs=2,
    batch_tokens=400, device="cpu", listen=False,
)  # fmt: skip


def test_the_loop_after_a_reference(workspace: Workspace) -> None:
    """LoRA, trained there and judged here in one sitting with the base; the reference is kept with clip, promotion and
    export, and plain PEFT says the same from the bundle.
    """
    checkpoint = trained(workspace, CONFIG)[-1]
    candidate = Candidate(backend=NAME, voice="default", checkpoint_id=checkpoint.id, lora_scale=0.6)
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


def test_full_checkpoints_are_all_kept_and_swept_beside_one_another(workspace: Workspace) -> None:
    """Every checkpoint of a full run is there, speaks in the same process as the base, and says something else."""
    made = trained(workspace, replace(CONFIG, name="whole", method="full", learning_rate=1e-3))
    assert len(made) == 2
    prepared = dataset.listing(workspace.datasets)[0]
    clip = dataset.utterances(prepared)[0]
    with Studio(workspace, clock=lambda: 1.0, device="cpu") as studio:
        prompt = studio.reference(studio.reference_of_row(prepared.id, clip.id).name)
        candidates = tuple(
            Candidate(backend=NAME, voice="default", checkpoint_id=one.id, lora_scale=1.0) for one in made
        )
        asked = Request(
            candidates=(Candidate(backend=NAME, voice="default"), *candidates),
            script=script(TEXT),
            settings=SHORT.flat,
            references=(prompt,),
        )
        clips = studio.render(asked)
        assert len({one.path for one in clips}) == len(asked.candidates)  # its lines are one text
