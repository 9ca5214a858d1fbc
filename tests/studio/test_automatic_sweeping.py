"""Sweeps that nobody asks for: new checkpoints of a run, with what they are heard beside, when the device is free."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import checkpoints, gate_files, lease
from engine.studio import Studio
from engine.sweep_records import AutomaticSweep, SweepState
from engine.types import BadInput, Candidate, Control, ControlPrompt, Hearing, NotFound
from tests import checkpoint_writer, run_factory
from tests.fake_host import FakeHost
from tests.studio.test_sweeping import SlowHost, opened, wait_until, without_models
from tests.test_references import recording

OTHER = Candidate(backend="other", voice="robin")


@pytest.fixture(name="screened", autouse=True)
def _screened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No model is loaded; the clips that are put to the screeners are noted, and none listens to them."""
    without_models(monkeypatch)
    found: list[str] = []
    monkeypatch.setattr(Studio, "screen", lambda _, clip: found.append(clip.id))
    return found


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    with opened(tmp_path) as studio:
        yield studio


def checkpoint(studio: Studio, run: Path, step: int) -> str:
    """A checkpoint as a trainer publishes it."""
    meta = {"epoch": step, "train_loss": 1.0, "val_loss": None, "created_at": 1.0}
    checkpoints.publish(run, step=step, write=checkpoint_writer.write, meta=meta)
    return f"{run.name}@{step:06d}"


@pytest.fixture(name="run")
def _run(studio: Studio) -> Path:
    """A run with one checkpoint that nobody swept. It is over: it waits for nothing."""
    run = run_factory.create(studio.workspace, "ada")
    run_factory.tell(run, ("start", {"step": 0, "pid": 1}), ("end", {"reason": "completed", "exit": 0}))
    checkpoint(studio, run.path, 1)
    return run.path


def automatic(studio: Studio, run: Path, **changes: object) -> AutomaticSweep:
    setting = replace(AutomaticSweep(run_id=run.name, scales=(0.35,)), **changes)  # type: ignore[arg-type]
    studio.sweep_new_checkpoints(setting)
    return setting


def test_every_new_checkpoint_is_swept_by_itself(studio: Studio, run: Path, screened: list[str]) -> None:
    """A checkpoint that comes later is rendered and screened without a person, once, and those before it are not."""
    automatic(studio, run)
    studio.watch_sweeps()
    new = checkpoint(studio, run, 2)
    wait_until(lambda: any(view.record.state is SweepState.DONE for view in studio.sweeps()))
    (view,) = studio.sweeps()
    assert view.record.is_automatic
    assert view.record.run_id == run.name
    steered = {clip.candidate.checkpoint_id for clip in studio.clips() if not clip.candidate.is_base}
    assert steered == {new}
    assert set(screened) == {clip.id for clip in studio.clips()}
    assert studio.due_sweeps() == []


def test_a_new_checkpoint_waits_for_the_device_and_for_trainings(studio: Studio, run: Path) -> None:
    """While a training has the device, or one waits for it, nothing is rendered that nobody asked for."""
    automatic(studio, run)
    checkpoint(studio, run, 2)
    with lease.hold(studio.workspace, ("cpu",), what="training ada"):
        studio.watch_sweeps()
        wait_until(lambda: bool(studio.sweeps()))
        assert not studio._device_is_free()
        time.sleep(0.1)
        assert studio.sweeps()[0].record.state is SweepState.WAITING
    wait_until(lambda: studio.sweeps()[0].record.state is SweepState.DONE)


def test_a_training_that_is_queued_goes_before_a_sweep_nobody_asked_for(tmp_path: Path) -> None:
    """An automatic sweep that runs lets go of the device after its batch, and goes on when the training is over."""
    host = SlowHost()
    with opened(tmp_path, host) as studio:
        run = run_factory.create(studio.workspace, "ada")
        run_factory.tell(run, ("start", {"step": 0, "pid": 1}), ("end", {"reason": "completed", "exit": 0}))
        automatic(studio, run.path)
        checkpoint(studio, run.path, 1)
        studio.watch_sweeps()
        wait_until(lambda: bool(studio._sweeps))
        waits = run_factory.create(studio.workspace, "bea")
        studio._queue.add(waits.path)
        host.let()
        wait_until(lambda: not studio._sweeps)
        (view,) = studio.sweeps()
        assert view.record.state is SweepState.WAITING
        assert "training" in view.message
        studio._queue.cancel(waits.id)
        wait_until(lambda: studio.sweeps()[0].record.state is SweepState.DONE)


def test_what_could_not_be_swept_later_is_refused_now(studio: Studio, run: Path) -> None:
    """A run, a script, a scale or a reference that is not there is said when the setting is made."""
    for changes, said in (
        ({"run_id": "nobody"}, "nobody"),
        ({"script": "nothing"}, "nothing"),
        ({"scales": (0.0,)}, "scale"),
        ({"references": ("0123456789abcdef",)}, "reference"),
        ({"gates": ("three-tiers",)}, "names no control"),
    ):
        with pytest.raises((BadInput, NotFound), match=said):
            automatic(studio, run, **changes)
    assert studio.automatic_sweeps() == []
    kept = studio.keep_reference(recording(run.parent / "ada.wav"), "Hello.")
    automatic(studio, run, references=(kept.reference.sha256,))
    assert studio.automatic_sweeps()[0].references == (kept.reference.sha256,)
    studio.stop_sweeping_new(run.name)
    assert studio.automatic_sweeps() == []


# ------------------------------------------------------------------------------------------------------ what is beside
def with_a_control(studio: Studio) -> None:
    """A gate that names another model's base."""
    control = Control(backend="other", voice="robin", prompt=ControlPrompt.NONE)
    rules = replace(studio.gate(), name="pair", hearing=Hearing.BESIDE_CONTROL, control=control)
    gate_files.write(rules, studio.workspace.gates)


def sweep_due(studio: Studio) -> list[Candidate]:
    """Who has spoken once all that is due is swept."""
    for due in studio.due_sweeps():
        studio.finish_sweep(due)
    return [clip.candidate for clip in studio.clips()]


@pytest.mark.parametrize("setting", [{"gates": ("pair",)}, {"controls": (OTHER,)}])
def test_a_gates_control_is_rendered_once_for_all_new_checkpoints(
    studio: Studio, run: Path, setting: dict[str, object]
) -> None:
    """It lies ready with the first new checkpoint, so that a gate can be opened at once, and the second renders none of
    it again.
    """
    host = FakeHost()
    studio._hosts["other"] = host  # type: ignore[assignment]
    with_a_control(studio)
    automatic(studio, run, **setting)
    checkpoint(studio, run, 2)
    assert sweep_due(studio).count(OTHER) == 3
    spoken = len(host.batches)
    checkpoint(studio, run, 3)
    assert sweep_due(studio).count(OTHER) == 3
    assert len(host.batches) == spoken > 0
    assert studio.automatic_sweeps()[0].trouble == ""


def test_a_checkpoint_does_not_wait_for_a_control_that_cannot_be_rendered(studio: Studio, run: Path) -> None:
    """It is swept without it, which is said with the reason; once that is mended the next one brings it."""
    with_a_control(studio)
    automatic(studio, run, gates=("pair",))
    file = studio.workspace.gates / "pair.json"
    rules = file.read_bytes()
    file.unlink()
    new = checkpoint(studio, run, 2)
    spoke = sweep_due(studio)
    assert new in {candidate.checkpoint_id for candidate in spoke}
    assert OTHER not in spoke
    assert "Swept without a control: There is no gate named 'pair'" in studio.automatic_sweeps()[0].trouble
    file.write_bytes(rules)
    checkpoint(studio, run, 3)
    assert OTHER in sweep_due(studio)
    assert studio.automatic_sweeps()[0].trouble == ""


def test_what_stands_against_sweeping_is_said_and_once_mended_nothing_is_missed(studio: Studio, run: Path) -> None:
    """A script that was taken away stops it with a sentence; when it is back, the checkpoint is swept after all."""
    studio.save_script("mine", "a | short | Good morning.", language="en")
    automatic(studio, run, script="mine")
    (file,) = studio.workspace.scripts.glob("mine*")
    kept = file.read_bytes()
    file.unlink()
    new = checkpoint(studio, run, 2)
    assert sweep_due(studio) == sweep_due(studio) == []
    assert "are not swept: There is no listening script named 'mine'" in studio.automatic_sweeps()[0].trouble
    file.write_bytes(kept)
    assert new in {candidate.checkpoint_id for candidate in sweep_due(studio)}
    assert studio.automatic_sweeps()[0].trouble == ""


def test_what_each_new_checkpoint_will_be_is_known_before(studio: Studio, run: Path) -> None:
    """Lines x scales x seeds, as many clips as are rendered, and about as long."""
    setting = automatic(studio, run, scales=(0.0, 0.35, 1.0), seeds=(1, 2))
    each = studio.each_checkpoint(setting, "toy")
    new = checkpoint(studio, run, 2)
    sweep_due(studio)
    spoken = [clip for clip in studio.clips() if clip.candidate.checkpoint_id == new]
    assert (len(each.lines), each.clips) == (3, 12)
    assert len(spoken) == 12
    assert each.audio_sec == pytest.approx(sum(clip.duration_sec for clip in spoken), rel=0.1)


def test_a_run_that_is_started_with_it_has_the_setting_and_a_bad_one_starts_no_run(studio: Studio) -> None:
    """What could not be swept is said before anything trains."""
    bad = AutomaticSweep(run_id="", script="nothing")
    config = studio.default_config()
    with pytest.raises(NotFound, match="nothing"):
        studio.enqueue(config, swept=bad)
    assert studio.runs() == []
