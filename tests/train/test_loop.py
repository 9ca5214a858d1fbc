"""The loop: what it tells, what it keeps, and that a stopped training goes on exactly where it was."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine import checkpoints, lease, runs
from engine.runs.folder import RunFolder
from engine.train import loop, saving, worker
from engine.types import DiskFull, RunState
from engine.workspace import Workspace
from tests.train.conftest import MakeRun

GIGABYTE = 10**9


def train(run_dir: Path, **changes: object) -> int:
    return worker.work(run_dir, **{"heartbeat_sec": 60.0, "poll_sec": 0.01, **changes})  # type: ignore[arg-type]


def weights(run_dir: Path) -> dict[str, str]:
    """Every file of every checkpoint that decides numbers, by its hash; descriptions hold times and ids."""
    return {
        f"{c.path.name}/{p.relative_to(c.path)}": hashlib.sha256(p.read_bytes()).hexdigest()
        for c in checkpoints.listing(run_dir)
        for p in sorted(c.path.rglob("*.safetensors"))
    }


def states(run_dir: Path) -> dict[str, str]:
    """The same for the trainer's states."""
    found = sorted((run_dir / "state").rglob("*.safetensors"))
    return {str(p.relative_to(run_dir)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


def stop_after(monkeypatch: pytest.MonkeyPatch, run_dir: Path, steps: int) -> None:
    """Raise the stop flag after a step, as a page would."""
    original = loop.step
    todo = iter(range(steps - 1, -1, -1))

    def step(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        if next(todo, 1) == 0:
            RunFolder(run_dir).stop_flag.write_text("stop")

    monkeypatch.setattr(loop, "step", step)


def test_a_run_tells_its_whole_story(make_run: MakeRun) -> None:
    """Start with totals, the base's validation, every step, a validation and a checkpoint an epoch, how it ended."""
    run = make_run(epochs=2)
    assert train(run.path) == 0
    told = runs.events(run.path)
    assert [e.seq for e in told] == list(range(len(told)))
    kinds = [e.kind for e in told if e.kind not in ("note", "heartbeat", "step", "checkpoint")]
    assert kinds == ["start", *["validation"] * 3, "end"]  # checkpoints come when their files are there
    saved = [e.data for e in told if e.kind == "checkpoint"]
    assert [c["epoch"] for c in saved] == [1, 2]
    assert [c["bytes"] for c in saved] == [c.bytes for c in checkpoints.listing(run.path)]
    steps = [e for e in told if e.kind == "step"]
    start = next(e for e in told if e.kind == "start")
    assert start.data["total_steps"] == len(steps) == runs.get(run.path).total_steps
    measured = {"seconds", "tokens", "padding_share", "memory_bytes"}
    assert set(steps[0].data) == {"step", "epoch", "loss", "parts", "learning_rate", "grad_norm"} | measured
    assert all(e.data["tokens"] > 0 and 0 <= e.data["padding_share"] < 1 for e in steps)
    assert steps[-1].data["memory_bytes"] > 10**7
    assert steps[0].data["loss"] == pytest.approx(sum(steps[0].data["parts"].values()))
    assert steps[0].data["learning_rate"] == pytest.approx(0.01 / 3)
    assert told[-1].data["reason"] == "completed"
    after = runs.get(run.path)
    assert (after.state, after.step, after.epoch) == (RunState.COMPLETED, len(steps), 2)


def test_training_learns_and_leaves_the_base_alone(make_run: MakeRun) -> None:
    """The validation loss falls from epoch to epoch; each adapter names the base as it was loaded."""
    run = make_run(epochs=3)
    train(run.path)
    curve = runs.series(run.path).val_loss
    assert curve[-1] < curve[1] < curve[0]
    from tests.train.toy_voice import load

    assert {c.adapter.base_sha256 for c in checkpoints.listing(run.path)} == {load("", "cpu").base_sha256}


def test_only_adapters_change(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a training, every weight and buffer that the base came with is bit for bit what it was."""
    from engine import backends
    from tests.train import toy_voice

    model = toy_voice.load("", "cpu")
    before = {f"{n}.{k}": v.clone() for n, net in model.nets.items() for k, v in net.state_dict().items()}
    monkeypatch.setattr(backends, "load", lambda *_: model)
    train(make_run(epochs=1).path)
    after = {
        f"{n}.{k}".replace(".base_layer", ""): v for n, net in model.nets.items() for k, v in net.state_dict().items()
    }
    assert all(torch.equal(v, after[k]) for k, v in before.items())
    assert any("lora_B" in k and v.any() for k, v in after.items())


def test_every_epochs_checkpoint_is_kept_and_whole(make_run: MakeRun) -> None:
    """Each epoch leaves a verified checkpoint with both losses, the adapter's facts and bare PEFT folders."""
    run = make_run(epochs=3)
    train(run.path)
    found = checkpoints.listing(run.path)
    assert [c.epoch for c in found] == [1, 2, 3]
    for c in found:
        checkpoints.verify(c.path)
        assert c.id == f"{run.id}@{c.step:06d}"
        assert c.train_loss is not None
        assert c.val_loss is not None
        assert (c.adapter.parts, c.adapter.voice, c.adapter.rank) == (("lm", "decoder"), "tock", 4)
        assert c.adapter.voice_settings == {"clock": 1.5}
        assert sorted(p.name for p in (c.path / "lm").iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert not list(run.path.rglob("*.pt")) + list(run.path.rglob("*.bin"))


def test_only_the_named_parts_are_trained(make_run: MakeRun) -> None:
    """A part that the config leaves out gets no adapter and no loss."""
    run = make_run(parts=("decoder",), epochs=1)
    train(run.path)
    checkpoint = checkpoints.listing(run.path)[0]
    assert checkpoint.adapter.parts == ("decoder",)
    assert not (checkpoint.path / "lm").exists()
    assert set(runs.series(run.path).parts) == {"decoder"}


def test_the_same_config_gives_the_same_weights(make_run: MakeRun) -> None:
    """Two runs of one config are bit for bit the same, and their adapters have one hash; another seed gives others."""
    first, second, other = make_run(), make_run(), make_run(seed=43)
    for run in (first, second, other):
        train(run.path)
    assert weights(first.path) == weights(second.path) != weights(other.path)
    hashes = [[c.adapter.sha256 for c in checkpoints.listing(r.path)] for r in (first, second)]
    assert hashes[0] == hashes[1]


def test_a_longer_run_contains_the_shorter_one(make_run: MakeRun) -> None:
    """Epoch 2 of 4 is epoch 2 of 2: the number of epochs decides only when to end."""
    short, long = make_run(epochs=2), make_run(epochs=4)
    train(short.path)
    train(long.path)
    assert weights(short.path).items() <= weights(long.path).items()


@pytest.mark.parametrize("stop_at", [1, 3, 5, 8])
def test_a_stopped_and_resumed_run_is_the_same_run(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    """Stopped after any step, in the middle of an epoch or at its end, and resumed: all checkpoints are bit-equal."""
    whole, halved = make_run(epochs=4), make_run(epochs=4)
    train(whole.path)
    with monkeypatch.context() as patch:
        stop_after(patch, halved.path, stop_at)
        assert train(halved.path) == 0
    stopped = runs.get(halved.path)
    assert (stopped.state, stopped.step) == (RunState.STOPPED, stop_at)
    assert checkpoints.listing(halved.path)[-1].step == stop_at
    RunFolder(halved.path).stop_flag.unlink()
    assert train(halved.path) == 0
    assert weights(whole.path).items() <= weights(halved.path).items()
    expected, got = runs.series(whole.path), runs.series(halved.path)
    assert got.steps == expected.steps
    assert got.train_loss == expected.train_loss
    assert got.val_loss == expected.val_loss
    epochs = {c.step: c.train_loss for c in checkpoints.listing(whole.path)}
    assert epochs.items() <= {c.step: c.train_loss for c in checkpoints.listing(halved.path)}.items()


def test_a_crash_loses_only_what_came_after_the_checkpoint(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in the middle of an epoch is told, and the resumed run ends with the weights of one that never failed."""
    whole, broken = make_run(epochs=3), make_run(epochs=3)
    train(whole.path)
    per_epoch = checkpoints.listing(whole.path)[0].step
    original = loop.step
    count = iter(range(1000))

    def step(*arguments: object) -> None:
        if next(count) == per_epoch + 2:
            raise RuntimeError("a cable fell out")
        original(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", step)
        assert train(broken.path) == 1
    failed = runs.get(broken.path)
    assert failed.state is RunState.FAILED
    assert "a cable fell out" in failed.error
    assert train(broken.path) == 0
    assert weights(broken.path) == weights(whole.path)
    assert runs.series(broken.path).train_loss == runs.series(whole.path).train_loss


def test_a_damaged_newest_checkpoint_is_passed_over(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resuming goes on from the newest checkpoint that is whole, sets the other aside by name, and makes it again."""
    whole, run = make_run(epochs=3), make_run(epochs=3)
    train(whole.path)
    with monkeypatch.context() as patch:
        stop_after(patch, run.path, checkpoints.listing(whole.path)[1].step)
        train(run.path)
    RunFolder(run.path).stop_flag.unlink()
    newest = checkpoints.listing(run.path)[-1].path
    file = newest / "lm/adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    before = len(runs.events(run.path))
    assert train(run.path) == 0
    said = [e.data["text"] for e in runs.events(run.path)[before:] if e.kind == "note"]
    assert any("adapter_model.safetensors was altered" in text for text in said)
    assert newest.with_name(f"damaged_{newest.name}").is_dir()
    assert weights(run.path) == weights(whole.path)


def test_optimizer_state_holds_no_pickle(make_run: MakeRun) -> None:
    """The trainer's state is safetensors and JSON: loading a checkpoint runs no code."""
    run = make_run(epochs=1)
    train(run.path)
    state = run.path / "state" / checkpoints.listing(run.path)[0].path.name
    assert sorted(p.name for p in state.iterdir()) == ["manifest.json", "optimizer.safetensors", "state.json"]
    names = {key.split("|")[2] for key in load_file(state / "optimizer.safetensors")}
    assert names == {"step", "exp_avg", "exp_avg_sq"}
    assert json.loads((state / "state.json").read_text())["epoch"] == 2


def test_low_disk_pauses_and_goes_on_when_there_is_room(make_run: MakeRun) -> None:
    """Without room a run is paused with a sentence, which tells those who wait for its device, too, what stopping it
    costs; it continues by itself and ends like any other.
    """
    run, whole = make_run(), make_run()
    train(whole.path)
    looks = iter(range(10_000))
    seen: list[tuple[RunState, str]] = []
    held: list[str] = []

    def free(_: Path) -> int:
        look = next(looks)
        held.append(lease.holder(Workspace(run.path.parent.parent), "cpu"))
        if 8 <= look < 14:
            if look > 8:
                now = runs.get(run.path)
                seen.append((now.state, now.error))
            return 1000
        return GIGABYTE

    assert train(run.path, free_bytes=free) == 0
    assert RunState.PAUSED in dict(seen)
    for said in (dict(seen)[RunState.PAUSED], held[12]):
        assert "room" in said
        assert re.search(r"Stop it to use its device meanwhile.* trains \d+ steps? again", said)
    assert {held[5], held[-1]} == {f"training {run.id}"}
    assert runs.get(run.path).state is RunState.COMPLETED
    assert weights(run.path) == weights(whole.path)


def test_a_disk_that_fills_during_a_save_pauses_too(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save that finds no room in the middle leaves nothing behind and is done again."""
    run = make_run(epochs=1)
    publish = checkpoints.publish
    attempts: list[int] = []

    def fill_once(*arguments: object, **options: object) -> Path:
        attempts.append(1)
        if len(attempts) == 1:
            raise DiskFull("The disk filled up.")
        return publish(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoints, "publish", fill_once)
    monkeypatch.setattr(saving.time, "sleep", lambda _: None)
    assert train(run.path) == 0
    assert len(attempts) == 2
    assert len(checkpoints.listing(run.path)) == 1


def test_a_paused_run_can_be_stopped(make_run: MakeRun) -> None:
    """A stop while waiting for room ends the run; what was saved before stays."""
    run = make_run(epochs=3)

    def free(_: Path) -> int:
        if checkpoints.listing(run.path):
            RunFolder(run.path).stop_flag.write_text("stop")
            return 1000
        return GIGABYTE

    assert train(run.path, free_bytes=free) == 0
    assert runs.get(run.path).state is RunState.STOPPED
    assert len(checkpoints.listing(run.path)) == 1


def test_a_loss_that_runs_off_ends_the_run_with_advice(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that is no number is not trained on, and the sentence names the setting."""
    from tests.train.toy_voice import ToyVoice

    original = ToyVoice.loss
    monkeypatch.setattr(ToyVoice, "loss", lambda self, *a: {k: v * float("nan") for k, v in original(self, *a).items()})
    run = make_run()
    assert train(run.path) == 2
    assert "lower the learning rate" in runs.get(run.path).error


def test_another_base_is_refused(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is not resumed on a base that its adapters were not made for."""
    from tests.train.toy_voice import ToyVoice

    run = make_run(epochs=2)
    with monkeypatch.context() as patch:
        stop_after(patch, run.path, 2)
        train(run.path)
    RunFolder(run.path).stop_flag.unlink()
    original = ToyVoice.__init__

    def other(self: ToyVoice, slow_sec: float) -> None:
        original(self, slow_sec)
        self.base_sha256 = "0" * 64

    monkeypatch.setattr(ToyVoice, "__init__", other)
    assert train(run.path) == 5
    assert "was trained on base" in runs.get(run.path).error
    assert len(checkpoints.listing(run.path)) == 1


def test_a_changed_dataset_is_refused(make_run: MakeRun, workspace: object) -> None:
    """The record says which data a run was made with; other data under that name is not trained on."""
    run = make_run()
    dataset_json = next(Path(run.path.parent.parent, "datasets").glob("*/dataset.json"))
    dataset_json.write_text(dataset_json.read_text().replace('"manifest_sha256": "', '"manifest_sha256": "0'))
    assert train(run.path) == 5
    assert "is not the one that this run was created with" in runs.get(run.path).error


def test_a_part_that_rests_is_taught_no_further(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers stay, its losses are told all the same, the other goes on; once all rest, the run ends and saves."""
    from engine import monitors

    def resting(watch: monitors.Watch) -> frozenset[str]:
        step = watch.validations[-1].step if watch.validations else 0
        return frozenset(("lm", "decoder")) if step >= 16 else frozenset(("decoder",)) if step else frozenset()

    monkeypatch.setattr(monitors, "resting", resting)
    run = make_run(epochs=9, part_patience=1)
    assert train(run.path) == 0
    told = [e.data for e in runs.events(run.path) if e.kind == "step"]
    assert all(set(data["parts"]) == {"lm", "decoder"} for data in told)
    assert set(told[0]["grad_norm"]) == {"lm", "decoder"}
    assert set(told[-1]["grad_norm"]) == {"lm"}
    kept = checkpoints.listing(run.path)

    def numbers(place: int, part: str) -> list[bytes]:
        return [path.read_bytes() for path in sorted(kept[place].path.rglob(f"{part}/*.safetensors"))]

    assert numbers(0, "decoder")
    assert numbers(0, "decoder") == numbers(-1, "decoder")
    assert numbers(0, "lm") != numbers(-1, "lm")
    after = runs.get(run.path)
    assert after.state is RunState.STOPPED
    assert after.step < after.total_steps
