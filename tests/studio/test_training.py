"""Runs as the pages use them: queued, started in turn, steered, and sharing their device with rendering."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from engine import backends, dataset, lease, manifest, sweep
from engine.needs import Needs
from engine.runs import launcher
from engine.studio import Studio
from engine.sweep_records import SweepState
from engine.types import (
    AuditReport,
    BadInput,
    Busy,
    Candidate,
    Dataset,
    Level,
    NotFound,
    PrepareSettings,
    Refused,
    RunConfig,
    RunState,
)
from engine.workspace import Workspace
from tests.fake_host import FakeHost, backend_info
from tests.recordings import make_manifest
from tests.train.trainer import executable
from tests.waiting import PATIENCE_SEC, wait_until

# The toy's weights fit into so much, a batch's activations do not.
LITTLE_MB = "0.35"


def prepare(workspace: Workspace, source: Path, backend: str, rows: int = 20) -> Dataset:
    """A dataset of a few tones."""
    report = AuditReport(manifest=manifest.read(make_manifest(source, rows)), backend=backend, findings=())
    needs = Needs(name=backend, title="Toy", sample_rate=16_000, min_sec=0.1, max_sec=60.0)
    settings = PrepareSettings(backend=backend, validation_share=0.2)
    return dataset.prepare(report, settings, needs, root=workspace.datasets, now=1.0)


@pytest.fixture(name="studio")
def _studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """An open workspace whose trainers know the toy voice."""
    monkeypatch.setitem(backends.BACKENDS, "toy", "tests.train.toy_voice")
    monkeypatch.setitem(backends.INFO, "toy", "tests.train.toy_voice")
    monkeypatch.setattr(launcher, "launch", partial(launcher.launch, python=executable(tmp_path)))
    with Studio(Workspace(tmp_path / "home"), device="cpu") as studio:
        yield studio
        for run in studio.runs():
            if run.state is RunState.QUEUED:
                studio.cancel_run(run.id)
            elif not run.state.is_over:
                studio.stop_run(run.id)
        for run in studio.runs():
            studio.wait_run(run.id, timeout_sec=PATIENCE_SEC)


@pytest.fixture(name="config")
def _config(studio: Studio, tmp_path: Path) -> RunConfig:
    """A training of a second or so."""
    made = prepare(studio.workspace, tmp_path / "source", "toy")
    return RunConfig(
        name="ada", dataset=made.id, backend="toy", epochs=1, batch_tokens=200, rank=4, alpha=8.0, device="cpu"
    )


def changed(config: RunConfig, **changes: object) -> RunConfig:
    return replace(config, **changes)  # type: ignore[arg-type]


def test_a_second_run_waits(studio: Studio, config: RunConfig) -> None:
    """What used to be refused is queued, and says for whom it waits once the first one has its device."""
    first = studio.start_run(changed(config, base_model="0.05"))
    second = studio.start_run(changed(config, name="bea"))
    assert (first.state, second.state, second.queue_position) == (RunState.STARTING, RunState.QUEUED, 1)
    wait_until(lambda: bool(lease.holder(studio.workspace, "cpu")))
    assert [run.error for run in studio.queue()] == [f"Waits for cpu: training {first.id}"]


def test_several_learning_rates_are_a_run_each(studio: Studio, config: RunConfig) -> None:
    """All else is the same and the name says which; a rate that cannot be trained with queues none of them."""
    for wrong, told in (((0.001,), "should differ"), ((0.002, 5.0), "Learning rate should be between")):
        with pytest.raises(BadInput, match=told):
            studio.enqueue_rates(changed(config, learning_rate=0.001), wrong, start=False)
    assert studio.queue() == []
    made = studio.enqueue_rates(changed(config, learning_rate=2e-6), [5e-6, 1e-5], start=False)
    assert [run.config.learning_rate for run in made] == [2e-6, 5e-6, 1e-5]
    assert [run.config.name for run in made] == ["ada-2e-06", "ada-5e-06", "ada-1e-05"]
    assert {replace(run.config, name="", learning_rate=1.0) for run in made} == {
        changed(config, name="", learning_rate=1.0)
    }
    assert [run.id for run in studio.queue()] == [run.id for run in made]


def test_the_second_starts_after_the_first_ran_out_of_memory(
    studio: Studio, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a device as small as that the first run dies as a real one does; its card names the class, and the queue
    goes on.
    """
    second = studio.enqueue(changed(config, name="second"), start=False)
    first = studio.enqueue(changed(config, name="first", batch_tokens=1500), start=False)
    studio.move_run(first.id, 1)
    launch = studio._scheduler._launch

    def limited(run_dir: Path) -> None:
        with monkeypatch.context() as patched:
            if run_dir.name == first.id:
                patched.setenv("EARMARK_MEMORY_LIMIT_MB", LITTLE_MB)
            launch(run_dir)

    studio._scheduler._launch = limited
    studio.watch_queue()
    assert studio.wait_run(second.id, timeout_sec=PATIENCE_SEC).state is RunState.COMPLETED
    card = studio.failure(first.id)
    assert card is not None
    assert (card.memory_class, card.exit_status) == ("activations", 1)
    assert card.changes[0].setting == "batch_tokens"
    assert any("OutOfMemoryError" in line for line in card.log)
    assert studio.failure(second.id) is None


def test_the_queue_is_moved_cancelled_and_resumed(studio: Studio, config: RunConfig) -> None:
    """Reorder, cancel, put back: the folders stay, and a cancelled run can be resumed to the end of the queue."""
    with lease.hold(studio.workspace, ("cpu",), what="rendering"):
        made = [studio.enqueue(changed(config, name=name)) for name in ("a", "b", "c")]
        studio.move_run(made[2].id, 1)
        assert [run.id for run in studio.queue()] == [made[2].id, made[0].id, made[1].id]
        assert studio.queue()[0].error == "Waits for cpu: rendering"
        studio.cancel_run(made[0].id)
        assert studio.run(made[0].id).state is RunState.STOPPED
        assert studio.resume_run(made[0].id).queue_position == 3
        studio.stop_run(made[1].id)  # a run that waits is stopped as any other
        assert [run.queue_position for run in studio.queue()] == [1, 2]
        assert {run.id: run.queue_position for run in studio.runs()}[made[0].id] == 2
        with pytest.raises(Refused, match="does not wait"):
            studio.cancel_run(made[1].id)
        with pytest.raises(NotFound):
            studio.move_run("nobody", 1)
        for run in studio.queue():
            studio.cancel_run(run.id)


def test_a_run_is_duplicated_to_be_edited(studio: Studio, config: RunConfig) -> None:
    """A copy of the settings, with nobody's acceptance."""
    run = studio.enqueue(changed(config, accepted_by="Ada", rank=3), start=False)
    assert studio.duplicate_config(run.id) == changed(config, rank=3)


def test_closing_the_app_ends_no_training(studio: Studio, config: RunConfig, tmp_path: Path) -> None:
    """The trainer goes on; the next app sees it by its lock and starts what waits when it is over, not before."""
    first = studio.start_run(changed(config, base_model="0.05"))
    second = studio.enqueue(changed(config, name="bea"))
    studio.close()
    with Studio(studio.workspace, device="cpu") as reopened:
        assert [run.id for run in reopened.queue()] in ([second.id], [])
        reopened.watch_queue()
        assert reopened.wait_run(second.id, timeout_sec=PATIENCE_SEC).state is RunState.COMPLETED
        assert reopened.run(first.id).state is RunState.COMPLETED
        began = [[e.at for e in reopened.events(run.id) if e.kind == "start"] for run in (first, second)]
        assert [len(starts) for starts in began] == [1, 1]
        assert reopened.events(first.id)[-1].at <= began[1][0]
    studio.__init__(studio.workspace, device="cpu")  # type: ignore[misc]  # for the fixture's end


def test_what_preflight_refuses_is_not_started(studio: Studio, config: RunConfig) -> None:
    """A run that would certainly fail makes no folder; the sentence is preflight's."""
    with pytest.raises(Refused, match="needs a CUDA card"):
        studio.start_run(changed(config, optimizer="paged_adamw_8bit"))
    assert list(studio.workspace.runs.iterdir()) == []


def test_preflight_shows_the_command_and_the_record_that_will_be(tmp_path: Path) -> None:
    """Nothing is made; what is shown is, at the same moment, exactly what would be written."""
    with Studio(Workspace(tmp_path / "home"), clock=lambda: 1_000.0, device="cpu") as studio:
        data = prepare(studio.workspace, tmp_path / "source", "finch")
        config = changed(studio.default_config(), name="robin", dataset=data.id, device="cpu")
        told = studio.preflight(config)
        assert list(studio.workspace.runs.iterdir()) == []
        assert told.memory is not None
        assert told.disk is not None
        assert told.advice is not None
        assert told.advice.preset == "gentle"
        assert told.level is Level.WARN  # less than a minute is little
        assert json.loads(told.record)["config"]["rank"] == 16
        run = studio.enqueue(config, start=False)
        assert told.record == (run.path / "run.json").read_text()
        assert told.command.endswith(f"-m engine.train {run.path}")


def test_rendering_waits_for_a_training_and_says_so(studio: Studio) -> None:
    """A page that asks with a patience is told who has the device; without one it waits, and can be cancelled."""
    studio._hosts["toy"] = FakeHost()  # type: ignore[assignment]
    told: list[str] = []
    with lease.hold(studio.workspace, ("cpu",), what="training robin-1"):
        with pytest.raises(Busy, match="training robin-1"), studio.host("toy", wait_sec=0.1):
            pass

        def give_up() -> None:
            raise Refused("Enough.")

        with pytest.raises(Refused), studio.host("toy", on_wait=told.append, give_up=give_up):
            pass
    assert told == ["Waits for cpu: training robin-1"]
    with studio.host("toy"):
        assert lease.holder(studio.workspace, "cpu") == "rendering"
        with studio.host("toy"):  # who has the device may ask again
            pass
        assert lease.holder(studio.workspace, "cpu") == "rendering"
    assert lease.holder(studio.workspace, "cpu") == ""


def test_models_are_let_go_of_only_when_nobody_uses_them(studio: Studio) -> None:
    """A GPU's memory is made free for a training, never under a rendering's hands."""
    studio._hosts["toy"] = FakeHost()  # type: ignore[assignment]
    with studio.host("toy"):
        studio.unload()
        other = threading.Thread(target=studio.unload)
        other.start()
        other.join()
        assert "toy" in studio._hosts
    studio.unload()
    assert studio._hosts == {}


def test_a_sweep_that_waits_is_cancelled(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its job tells for whom it waits and ends as soon as it is cancelled."""
    studio._hosts["fake"] = FakeHost()  # type: ignore[assignment]
    monkeypatch.setattr(backends, "info", lambda name: backend_info())
    request = sweep.Request(
        candidates=(Candidate(backend="fake", voice="robin"),),
        script=studio.script(),
        settings={},
    )
    with lease.hold(studio.workspace, ("cpu",), what="training robin-1"):
        asked = studio.start_sweep(request)
        wait_until(lambda: studio.sweep_view(asked).message == "Waits for cpu: training robin-1")
        studio.cancel_sweep(asked)
        wait_until(lambda: studio.sweep_view(asked).record.state is SweepState.CANCELLED)
