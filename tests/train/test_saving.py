"""Saving and going on: by epochs or steps, the state beside the checkpoint, in the background, on a full disk."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from engine import checkpoints, durable, runs, sealed
from engine.runs.folder import RunFolder
from engine.train import loop, saving, state_files
from engine.train.publisher import Publisher
from engine.types import DiskFull, RunState
from tests.train.conftest import MakeRun
from tests.train.test_loop import GIGABYTE, states, stop_after, train, weights


def steps_of(run_dir: Path) -> list[int]:
    return [c.step for c in checkpoints.listing(run_dir)]


def state_steps(run_dir: Path) -> list[str]:
    return sorted(p.name for p in RunFolder(run_dir).states.iterdir())


# ---------------------------------------------------------------------------------------------------------------- when
@pytest.mark.parametrize(
    ("settings", "epochs_saved"),
    [({"save_every": 2}, [2, 4, 5]), ({"save_every": 9}, [5])],
)
def test_checkpoints_come_every_so_many_epochs(
    make_run: MakeRun, settings: dict[str, Any], epochs_saved: list[int]
) -> None:
    """Every so many epochs and at the end; each epoch is validated all the same."""
    run = make_run(epochs=5, **settings)
    assert train(run.path) == 0
    assert [c.epoch for c in checkpoints.listing(run.path)] == epochs_saved
    assert len(runs.series(run.path).val_loss) == 6


def test_checkpoints_come_every_so_many_steps_and_at_the_last(make_run: MakeRun) -> None:
    """In the middle of epochs, validated, with the mean loss of the epoch so far; the run ends at its steps at most."""
    run = make_run(epochs=9, save_every=3, save_unit="steps", max_steps=11)
    assert train(run.path) == 0
    after = runs.get(run.path)
    assert (after.state, after.step, after.total_steps) == (RunState.COMPLETED, 11, 11)
    found = checkpoints.listing(run.path)
    assert [c.step for c in found] == [3, 6, 9, 11]
    assert all(c.val_loss is not None and c.train_loss is not None for c in found)


# -------------------------------------------------------------------------------------------------------------- resume
SAVES: list[dict[str, Any]] = [
    {"save_unit": "steps", "save_every": 3, "accumulation": 2},
    {"save_unit": "steps", "save_every": 1, "max_steps": 9},
    {"save_every": 2, "method": "full", "learning_rate": 0.003},
    {"gradient_checkpointing": True, "precision": "bf16", "save_unit": "steps", "save_every": 4},
]


@pytest.mark.parametrize("settings", SAVES, ids=lambda s: ",".join(map(str, s.values())))
@pytest.mark.parametrize("stop_at", [2, 7])
def test_a_resumed_run_is_the_same_run(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], stop_at: int
) -> None:
    """Whatever a step is made of and whenever it is saved: stopped and resumed, every loss and weight is bit for bit
    what it would have been.
    """
    whole, halved = make_run(epochs=4, batch_tokens=100, **settings), make_run(epochs=4, batch_tokens=100, **settings)
    assert train(whole.path) == 0, runs.get(whole.path).error
    with monkeypatch.context() as patch:
        stop_after(patch, halved.path, stop_at)
        train(halved.path)
    assert runs.get(halved.path).step == stop_at
    RunFolder(halved.path).stop_flag.unlink()
    assert train(halved.path) == 0
    assert weights(whole.path).items() <= weights(halved.path).items()
    expected, got = runs.series(whole.path), runs.series(halved.path)
    assert (got.steps, got.train_loss, got.val_loss) == (expected.steps, expected.train_loss, expected.val_loss)
    assert list(states(whole.path).values())[-1] == list(states(halved.path).values())[-1]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_resumed_run_takes_no_room_of_what_is_removed(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """What it read of its state and weights is a copy: a file that stays mapped keeps its room after it was removed,
    and a small disk would never be free enough.
    """
    run, mapped = make_run(epochs=2, method=method), []
    with monkeypatch.context() as patch:
        stop_after(patch, run.path, 2)
        train(run.path)
    RunFolder(run.path).stop_flag.unlink()
    original = loop.step

    def step(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        lines = Path("/proc/self/maps").read_text().splitlines()
        mapped.append([line for line in lines if str(run.path) in line and ".safetensors" in line])

    monkeypatch.setattr(loop, "step", step)
    assert train(run.path) == 0
    assert mapped
    assert not any(mapped)


def test_accumulated_batches_are_one_large_batch(make_run: MakeRun) -> None:
    """A step of several batches has their mean loss a token: validation and train loss lie on one axis."""
    run = make_run(epochs=1, accumulation=256, batch_tokens=100, dropout=0.0)
    assert train(run.path) == 0
    step = next(e.data for e in runs.events(run.path) if e.kind == "step")
    assert runs.get(run.path).step == 1
    assert step["tokens"] > 300
    checkpoint = checkpoints.listing(run.path)[0]
    assert checkpoint.train_loss == pytest.approx(step["loss"])


def test_only_the_last_two_checkpoints_keep_a_state(make_run: MakeRun) -> None:
    """All checkpoints stay as they were published; what only a resume needs is there for the last two, and sealed."""
    run = make_run(epochs=5)
    train(run.path)
    assert len(steps_of(run.path)) == 5
    assert state_steps(run.path) == [checkpoints.folder_name(s) for s in steps_of(run.path)[-2:]]
    for checkpoint in checkpoints.listing(run.path):
        checkpoints.verify(checkpoint.path)
        assert not list(checkpoint.path.rglob("*optimizer*"))
        assert (state_files.of(checkpoint) is not None) == (checkpoint.step in steps_of(run.path)[-2:])


def _stopped(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, at: int = 7, **settings: Any) -> Path:
    run = make_run(epochs=4, save_every=2, save_unit="steps", **settings)
    with monkeypatch.context() as patch:
        stop_after(patch, run.path, at)
        train(run.path)
    RunFolder(run.path).stop_flag.unlink()
    return run.path


def test_a_damaged_or_lost_state_is_passed_over_and_made_again(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on from the newest checkpoint that has a whole state, says so, leaves the published one as it is,
    and its state is there again once the step is.
    """
    whole = make_run(epochs=4, save_every=2, save_unit="steps")
    train(whole.path)
    for lose in (lambda p: shutil.rmtree(p), lambda p: (p / "optimizer.safetensors").write_bytes(b"x")):
        run_dir = _stopped(make_run, monkeypatch)
        newest = checkpoints.listing(run_dir)[-1]
        sealed_as = (newest.path / "manifest.json").read_bytes()
        lose(state_files.path_of(run_dir, newest.step))
        with monkeypatch.context() as patch:
            stop_after(patch, run_dir, 2)
            train(run_dir)
        said = " ".join(e.data["text"] for e in runs.events(run_dir) if e.kind == "note")
        assert "going on from the" in said
        assert (newest.path / "manifest.json").read_bytes() == sealed_as
        RunFolder(run_dir).stop_flag.unlink()
        assert train(run_dir) == 0
        assert weights(whole.path).items() <= weights(run_dir).items()
        assert runs.series(run_dir).train_loss == runs.series(whole.path).train_loss


def test_a_run_whose_states_are_all_gone_says_so(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not begun anew in silence: there are checkpoints, they can be listened to, and none can be gone on from."""
    run_dir = _stopped(make_run, monkeypatch)
    shutil.rmtree(RunFolder(run_dir).states)
    before = steps_of(run_dir)
    assert train(run_dir) == 5
    assert "has its trainer's state any more" in runs.get(run_dir).error
    assert steps_of(run_dir) == before


def test_a_state_of_other_weights_is_not_used(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state names the weights that it was made with; beside others it is damaged."""
    run_dir = _stopped(make_run, monkeypatch)
    newest = checkpoints.listing(run_dir)[-1]
    place = state_files.path_of(run_dir, newest.step)
    told = json.loads((place / "state.json").read_text())
    (place / "state.json").write_text(json.dumps(told | {"adapter_sha256": "0" * 64}))
    (place / "manifest.json").unlink()
    content = {p.name: p.read_bytes() for p in place.iterdir()}
    shutil.rmtree(place)
    sealed.publish(
        place, what="state", write=lambda f: [(f / n).write_bytes(b) for n, b in content.items()] and None, meta={}
    )
    assert train(run_dir) == 0
    assert "belongs to other weights" in " ".join(e.data.get("text", "") for e in runs.events(run_dir))


def test_a_state_inside_its_checkpoint_is_read(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs from before states lay beside their checkpoints go on, too."""
    whole = make_run(epochs=4, save_every=2, save_unit="steps")
    train(whole.path)
    run_dir = _stopped(make_run, monkeypatch)
    newest = checkpoints.listing(run_dir)[-1]
    state = state_files.path_of(run_dir, newest.step)
    told = json.loads((state / "state.json").read_text())
    old = {k: told[k] for k in ("step", "epoch", "batch", "epoch_loss_sum")} | {"format_version": 1}
    manifest = json.loads((newest.path / "manifest.json").read_text())
    inside = newest.path / "trainer"
    inside.mkdir()
    shutil.copy(state / "optimizer.safetensors", inside)
    (inside / "state.json").write_text(json.dumps(old))
    for path in inside.iterdir():
        name = f"trainer/{path.name}"
        manifest["files"][name] = {"bytes": path.stat().st_size, "sha256": durable.file_sha256(path)}
    (newest.path / "manifest.json").write_text(json.dumps(manifest))
    shutil.rmtree(RunFolder(run_dir).states)
    assert train(run_dir) == 0
    assert [e.data["step"] for e in runs.events(run_dir) if e.kind == "start"] == [0, newest.step]
    assert runs.series(run_dir).train_loss == runs.series(whole.path).train_loss


def test_what_a_killed_writer_left_is_swept(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state whose checkpoint never appeared, and halves of either, are gone at the next start."""
    run_dir = _stopped(make_run, monkeypatch)
    newest = state_files.path_of(run_dir, checkpoints.listing(run_dir)[-1].step)
    shutil.copytree(newest, newest.with_name("step_000999"))
    shutil.copytree(newest, newest.with_name(".tmp-step_000998-1"))
    assert train(run_dir) == 0
    assert state_steps(run_dir) == [checkpoints.folder_name(s) for s in steps_of(run_dir)[-2:]]


# ---------------------------------------------------------------------------------------------------------- background
def test_training_goes_on_while_a_checkpoint_is_written(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are done while files are; the checkpoint holds the weights of its own step; the end waits for the last."""
    plain = make_run(epochs=3)
    train(plain.path)
    run = make_run(epochs=3)
    original, may_write = saving.publish, threading.Event()
    seen: list[int] = []

    def slow(session: Any, snapshot: saving.Snapshot) -> None:
        assert may_write.wait(60)
        original(session, snapshot)
        seen.append(session.journal.progress.step - snapshot.step)

    step = saving.Saver.save

    def save(self: Any, state: Any, **options: Any) -> None:
        may_write.clear() if state.epoch == 1 else may_write.set()
        step(self, state, **options)

    monkeypatch.setattr(saving, "publish", slow)
    monkeypatch.setattr(saving.Saver, "save", save)
    may_write.set()
    from engine.train import loop

    original_step = loop.step

    def and_then(session: Any, state: Any, group: Any) -> None:
        original_step(session, state, group)
        if state.epoch == 2 and state.batch == 2:
            may_write.set()

    monkeypatch.setattr(loop, "step", and_then)
    assert train(run.path) == 0
    assert weights(run.path) == weights(plain.path)
    assert max(seen) >= 2


class Boom(Exception):
    pass


def test_a_failed_save_ends_the_training(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the background is the run's: it is told, and what was published before stays."""
    run = make_run(epochs=3)
    original = saving.publish
    count = iter(range(9))

    def second_fails(session: Any, snapshot: saving.Snapshot) -> None:
        if next(count) == 1:
            raise Boom("the cable")
        original(session, snapshot)

    monkeypatch.setattr(saving, "publish", second_fails)
    assert train(run.path) == 1
    assert "Boom: the cable" in runs.get(run.path).error
    assert len(steps_of(run.path)) == 1


def test_the_publisher_has_one_save_in_flight_and_waits_at_the_end() -> None:
    """A second save waits for the first; leaving waits for the last; a save without room is done again."""
    done: list[str] = []
    room: list[DiskFull] = []

    def full_once() -> None:
        if not room:
            raise DiskFull("no room")
        done.append("b")

    with Publisher(make_room=room.append) as publisher:
        publisher.submit(lambda: done.append("a"))
        publisher.submit(full_once)
        publisher.look()
    assert done == ["a", "b"]
    assert len(room) == 1
    with pytest.raises(Boom), Publisher(make_room=room.append) as publisher:
        publisher.submit(lambda: (_ for _ in ()).throw(Boom()))


def test_a_disk_that_fills_in_the_middle_of_a_file_is_a_full_disk(tmp_path: Path) -> None:
    """Libraries that write say it in words of their own; it is DiskFull, and nothing is left."""

    class SafetensorError(Exception):
        pass

    def write(folder: Path) -> None:
        save_file({}, folder / "a.safetensors")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with pytest.raises(DiskFull):
        sealed.publish(tmp_path / "x", what="thing", write=write, meta={})
    assert list(tmp_path.iterdir()) == []


def test_an_alert_marks_a_pause_for_room(make_run: MakeRun) -> None:
    """Room for the next two checkpoints is looked for before each; a pause is an alert once, and the run goes on."""
    run = make_run()
    looks = iter(range(10_000))

    def free(_: Path) -> int:
        return 1000 if 8 <= next(looks) < 14 else GIGABYTE

    assert train(run.path, free_bytes=free) == 0
    alerts = [e.data for e in runs.events(run.path) if e.kind == "alert"]
    assert [a["monitor"] for a in alerts] == ["disk"]
    assert alerts[0]["stops"] is False


def test_a_state_is_replaced_by_a_later_life(tmp_path: Path) -> None:
    """A state that is published again replaces what a killed life left there."""
    state = state_files.TrainState(step=3)
    for sha in ("a", "b"):
        state_files.publish(tmp_path, 3, replace(state), {}, sha)
    told = json.loads((state_files.path_of(tmp_path, 3) / "state.json").read_text())
    assert told["adapter_sha256"] == "b"
    assert sorted(p.name for p in RunFolder(tmp_path).states.iterdir()) == ["step_000003"]


# ------------------------------------------------------------------------------------------------------ what is trained
def test_target_modules_are_those_that_are_named(make_run: MakeRun) -> None:
    """Only the named Linears get an adapter; a name that a part does not have is refused with the part's own."""
    run = make_run(epochs=1, target_modules=("o_proj",))
    assert train(run.path) == 0
    config = json.loads((checkpoints.listing(run.path)[0].path / "lm" / "adapter_config.json").read_text())
    assert config["target_modules"] == ["o_proj"]
    wrong = make_run(epochs=1, target_modules=("k_proj",))
    assert train(wrong.path) == 2
    assert "has no module named k_proj; its own are q_proj, o_proj" in runs.get(wrong.path).error


def test_full_training_keeps_every_weight(make_run: MakeRun) -> None:
    """A full checkpoint has all parameters of its parts in one file each, and says that it is one."""
    run = make_run(epochs=2, method="full", learning_rate=0.003)
    assert train(run.path) == 0
    found = checkpoints.listing(run.path)
    assert {c.adapter.kind for c in found} == {"full"}
    assert runs.series(run.path).val_loss[-1] < runs.series(run.path).val_loss[0]
    stored = load_file(found[0].path / "lm" / "full.safetensors")
    assert set(stored) == {
        "embed.weight",
        *(f"block.{name}_proj.{kind}" for name in "qo" for kind in ("weight", "bias")),
        "head.weight",
        "head.bias",
    }
    assert [p.name for p in (found[0].path / "lm").iterdir()] == ["full.safetensors"]
