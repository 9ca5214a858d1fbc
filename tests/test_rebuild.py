"""Rebuilding: the database follows from the disk, and no judgement is touched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine import adapter_files, checkpoints, rebuild, references, scripts, sweep
from engine.store import JOURNAL, Store
from engine.types import Busy, Candidate, Clip, RunConfig
from engine.workspace import Workspace
from tests.checkpoint_writer import write
from tests.fake_host import FakeHost, backend_info
from tests.judgement_factory import make_verdict
from tests.test_references import recording


@pytest.fixture(name="workspace")
def _workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    workspace.create()
    return workspace


def make_run(workspace: Workspace) -> str:
    """A run with one checkpoint on disk; returns the checkpoint's id."""
    folder = workspace.runs / "robin"
    folder.mkdir()
    record = {"format_version": 1, "id": "robin", "created_at": 1.0, "config": {"dataset": "d"}}
    (folder / "run.json").write_text(json.dumps(record))
    meta = {"epoch": 1, "train_loss": 1.0, "val_loss": None, "created_at": 1.0}
    return checkpoints.load(checkpoints.publish(folder, step=10, write=write, meta=meta)).id


def render(workspace: Workspace, checkpoint_id: str) -> list[Clip]:
    """The default script by the base and by the checkpoint."""
    adapter = adapter_files.load_adapter(workspace.runs / "robin" / "checkpoints" / "step_000010")
    candidates = (
        Candidate(backend="toy", voice="tick"),
        Candidate(backend="toy", voice="tick", checkpoint_id=checkpoint_id, lora_scale=0.5),
    )
    plan = sweep.plan(
        sweep.Request(candidates=candidates, script=scripts.load(scripts.DEFAULT)),
        clips=workspace.clips,
        adapters={checkpoint_id: adapter},
        infos={"toy": backend_info("toy")},
    )
    return list(sweep.render(plan, host=FakeHost(), clips=workspace.clips))  # type: ignore[arg-type]


def test_clips_and_judgements_come_back(workspace: Workspace) -> None:
    """Without database and journal the clips are known again, the same ones; with the journal the verdicts too."""
    made = render(workspace, make_run(workspace))
    with Store(workspace.database) as store:
        store.add_clips(made)
        store.add_verdict(make_verdict(made[-1].candidate))
        kept = store.verdicts()
    workspace.database.unlink()
    told = rebuild.rebuild(workspace)
    assert told.judgements == len(made) + 1
    with Store(workspace.database) as store:
        assert store.verdicts() == kept
    workspace.database.unlink()
    (workspace.root / JOURNAL).unlink()
    told = rebuild.rebuild(workspace)
    assert (told.runs, told.checkpoints, told.clips, told.new_clips, told.unknown_clips) == (
        1,
        1,
        len(made),
        len(made),
        0,
    )
    with Store(workspace.database) as store:
        assert sorted(store.clips(), key=lambda c: c.id) == sorted(made, key=lambda c: c.id)


def test_clips_of_an_edited_script_and_a_reference_come_back(workspace: Workspace) -> None:
    """What a clip was spoken with lies on the disk: an earlier version of a script, and the audio prompt."""
    kept = references.keep(workspace.references, recording(workspace.root / "ada.wav"), "Hello.", now=1.0)
    script = scripts.save(workspace.scripts, "mine", "a | short | An old line.", language="de")
    scripts.save(workspace.scripts, "mine", "a | short | A new line.", language="de")
    plan = sweep.plan(
        sweep.Request(
            candidates=(Candidate(backend="toy", voice="tick"),), script=script, references=(None, kept.reference)
        ),
        clips=workspace.clips,
        adapters={},
        infos={"toy": replace(backend_info("toy"), reference="optional")},
    )
    made = list(sweep.render(plan, host=FakeHost(), clips=workspace.clips))  # type: ignore[arg-type]
    assert rebuild.rebuild(workspace).new_clips == 2
    with Store(workspace.database) as store:
        found = store.clips()
    assert sorted(found, key=lambda c: c.id) == sorted(made, key=lambda c: c.id)
    assert {clip.reference for clip in found} == {None, kept.reference}
    assert {clip.language for clip in found} == {"de"}


def test_rebuilding_again_changes_nothing(workspace: Workspace) -> None:
    """What is known already stays as it is."""
    render(workspace, make_run(workspace))
    rebuild.rebuild(workspace)
    told = rebuild.rebuild(workspace)
    assert (told.judgements, told.new_clips, told.set_aside) == (0, 0, None)


def test_a_damaged_database_is_set_aside(workspace: Workspace) -> None:
    """A file that is no database any more keeps its bytes under another name, and the verdicts are there again."""
    with Store(workspace.database) as store:
        store.add_verdict(make_verdict(Candidate(backend="toy", voice="tick", checkpoint_id="a@000001")))
    workspace.database.write_bytes(b"not a database" * 500)
    told = rebuild.rebuild(workspace, clock=lambda: 0.0)
    assert told.set_aside == workspace.root / "evaluations.duckdb.damaged-19700101-000000"
    assert told.set_aside.read_bytes() == b"not a database" * 500
    with Store(workspace.database) as store:
        assert len(store.verdicts()) == 1


def test_strangers_and_damage_are_reported(workspace: Workspace) -> None:
    """A clip of a checkpoint that is gone is counted, an altered checkpoint is named; neither is removed."""
    checkpoint_id = make_run(workspace)
    made = render(workspace, checkpoint_id)
    weights = workspace.runs / "robin/checkpoints/step_000010/lm/adapter_model.safetensors"
    weights.write_bytes(b"x" * weights.stat().st_size)
    told = rebuild.rebuild(workspace)
    assert "adapter_model.safetensors was altered" in told.damaged_checkpoints[0]
    (workspace.runs / "robin").rename(workspace.root / "elsewhere")
    workspace.database.unlink()
    (workspace.root / JOURNAL).unlink()
    told = rebuild.rebuild(workspace)
    assert told.unknown_clips == sum(not clip.candidate.is_base for clip in made)
    assert len(list(workspace.clips.glob("*.flac"))) == len(made)


def test_an_open_app_is_not_disturbed(workspace: Workspace) -> None:
    """While somebody holds the workspace the rebuild says so."""
    from engine import locks

    with locks.hold(workspace.lock, what="Earmark"), pytest.raises(Busy, match="Earmark"):
        rebuild.rebuild(workspace)


def test_the_fixture_is_a_run(workspace: Workspace) -> None:
    """The made-up run is one that the engine lists, so that these tests test something."""
    from engine import runs

    make_run(workspace)
    assert [run.config for run in runs.listing(workspace.runs)] == [RunConfig(dataset="d")]
