"""Run folders: immutable records, states that follow from lock and events, and folders from elsewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from engine import backends, locks, runs
from engine.runs import launcher, making, queue
from engine.runs.folder import RunFolder
from engine.runs.state import START_GRACE_SEC
from engine.types import BadInput, Busy, NotFound, Refused, Run, RunConfig, RunState
from tests.run_factory import prepared, tell

CONFIG = RunConfig(name="My robin!", dataset="set-1", backend="toy")


@pytest.fixture(autouse=True)
def toy_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.INFO, "toy", "tests.train.toy_voice")


def create(root: Path, config: RunConfig = CONFIG, now: float = 0.0) -> Run:
    return making.create(root / "runs", config, now=now, dataset=prepared(root, backend="toy"))


START = ("start", {"pid": 1, "step": 0, "epoch": 1, "total_steps": 8})


def step(n: int, loss: float = 1.0) -> tuple[str, dict[str, object]]:
    data = {"step": n, "epoch": 1, "loss": loss, "parts": {"lm": loss}, "learning_rate": 0.1, "seconds": 0.5}
    return "step", data


def test_a_new_run_waits(tmp_path: Path) -> None:
    """A created run has its config and nothing else; its name is a safe folder with the date."""
    run = create(tmp_path)
    assert run.id == "My-robin-19700101-000000"
    assert (run.state, run.config, run.step) == (RunState.QUEUED, CONFIG, 0)


def test_two_runs_of_one_second_have_two_folders(tmp_path: Path) -> None:
    """A name that is taken gets a number; no run is ever written over."""
    assert [create(tmp_path).id for _ in range(3)][1:] == ["My-robin-19700101-000000-2", "My-robin-19700101-000000-3"]


def test_the_record_says_what_was_trained_with_what(tmp_path: Path) -> None:
    """run.json holds config, data and code, is read-only, and knows no absolute path."""
    record_path = RunFolder(create(tmp_path).path).record
    record = json.loads(record_path.read_text())
    assert record["config"]["learning_rate"] == CONFIG.learning_rate
    assert record["dataset"] == {"id": "set-1", "path": "../../datasets/set-1", "manifest_sha256": "a" * 64}
    assert set(record["code"]) == {"commit", "python", "torch", "peft", "transformers", "numpy"}
    assert str(tmp_path) not in record_path.read_text()
    assert record_path.stat().st_mode & 0o222 == 0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"rank": 0}, "Rank should be between"), ({"parts": ("lungs",)}, "no part 'lungs'; it has: lm, decoder")],
)
def test_a_config_that_cannot_be_trained_makes_no_folder(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    """Faults of the form are told before anything is made."""
    with pytest.raises(BadInput, match=sentence):
        create(tmp_path, replace(CONFIG, **changes))  # type: ignore[arg-type]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("changes", [{"backend": "finch"}, {"sample_rate": 24_000}])
def test_a_dataset_of_another_voice_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    """Data prepared for another model or rate has to be prepared again."""
    with pytest.raises(BadInput, match="prepare it for toy"):
        making.create(tmp_path / "runs", CONFIG, now=0.0, dataset=replace(prepared(tmp_path, backend="toy"), **changes))  # type: ignore[arg-type]


def test_states_follow_from_the_lock_and_the_events(tmp_path: Path) -> None:
    """The same events mean running while the lock is held and lost when it is not; an end is an end either way."""
    run = create(tmp_path)
    folder = RunFolder(run.path)
    tell(run, ("note", {"state": "starting", "text": "Loading"}))
    with locks.hold(folder.lock, what="a test"):
        assert runs.get(run.path).state is RunState.STARTING
        tell(run, START, step(1))
        assert runs.get(run.path).state is RunState.RUNNING
        tell(run, ("note", {"state": "paused", "text": "No room."}))
        paused = runs.get(run.path)
        assert paused.state is RunState.PAUSED
        assert re.fullmatch(
            "No room. Stop it to use its device .* every checkpoint stays, .* 1 step again.", paused.error
        )
        launcher.stop(run.path)
        assert runs.get(run.path).state is RunState.STOPPING
    assert runs.get(run.path).state is RunState.LOST
    tell(run, ("end", {"reason": "failed", "exit": 1, "error": "It broke.", "step": 1}))
    over = runs.get(run.path)
    assert (over.state, over.error, over.eta_sec) == (RunState.FAILED, "It broke.", None)
    with locks.hold(folder.lock, what="a test"):
        assert runs.get(run.path).state is RunState.FAILED


def test_a_run_that_ends_while_somebody_looks_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last word may come, and its lock be let go, after its events were read and before its lock is looked at."""
    run, is_held = create(tmp_path), locks.is_held
    tell(run, START, step(1))

    def just_over(lock: Path) -> bool:
        if lock == RunFolder(run.path).lock and runs.read_progress(run.path).last_seq == 1:
            tell(run, ("end", {"reason": "completed", "exit": 0, "error": "", "step": 1}))
        return is_held(lock)

    monkeypatch.setattr(locks, "is_held", just_over)
    assert runs.get(run.path).state is RunState.COMPLETED


def test_a_resumed_run_waits_also_while_its_last_trainer_is_still_leaving(tmp_path: Path) -> None:
    """A large process is gone seconds after its last word: a run that is resumed in between waits, and is not over,
    or nobody would start it.
    """
    run = create(tmp_path)
    tell(run, START, step(1), ("end", {"reason": "stopped", "exit": 0, "error": "", "step": 1}))
    with locks.hold(RunFolder(run.path).lock, what="a trainer that leaves"):
        assert runs.get(run.path).state is RunState.STOPPED
        queue.enqueue(run.path, clock=lambda: 5.0)
        assert runs.get(run.path).state is RunState.QUEUED
    assert runs.get(run.path).state is RunState.QUEUED


def test_a_stale_lock_file_means_nothing(tmp_path: Path) -> None:
    """The file of a lock may lie there for ever; only a held lock is alive."""
    run = create(tmp_path)
    tell(run, START)
    RunFolder(run.path).lock.touch()
    assert runs.get(run.path).state is RunState.LOST


def test_a_silent_trainer_is_given_a_grace(tmp_path: Path) -> None:
    """Launched and not heard of, a run is starting for a while, then lost, unless its launcher saw it end."""
    run = create(tmp_path)
    launched = RunFolder(run.path).launched
    launched.write_text('{"at": 1000.0, "after_seq": -1}')

    def state(now: float) -> RunState:
        return runs.get(run.path, clock=lambda: now).state

    assert state(1000 + START_GRACE_SEC - 1) is RunState.STARTING
    assert state(1000 + START_GRACE_SEC + 1) is RunState.LOST
    RunFolder(run.path).exited.write_text('{"launched_at": 1000.0, "status": 3}')
    assert state(1001) is RunState.LOST
    launched.write_text('{"at": 2000.0, "after_seq": -1}')
    assert state(2001) is RunState.STARTING


def test_a_stop_needs_a_run_that_is_not_over(tmp_path: Path) -> None:
    """A waiting run is stopped before it began; stopping what is over is answered."""
    run = create(tmp_path)
    launcher.stop(run.path)
    assert runs.get(run.path).state is RunState.STOPPED
    with pytest.raises(Refused, match="is stopped; there is nothing to stop"):
        launcher.stop(run.path)


def test_a_removed_snapshot_changes_nothing(tmp_path: Path) -> None:
    """status.json is a short cut: without it, or with a torn one, the run reads the same."""
    run = create(tmp_path)
    tell(run, START, step(1), step(2, 0.5))
    before = runs.get(run.path)
    RunFolder(run.path).status.write_text('{"offset": 12, "progr')
    assert runs.get(run.path) == before
    assert (before.step, before.train_loss, before.total_steps) == (2, 0.5, 8)


def test_no_events_are_empty_curves(tmp_path: Path) -> None:
    """A run that has not begun has curves without points, alerts and checkpoints."""
    assert runs.series(create(tmp_path).path).steps == ()


def test_a_run_of_another_version_is_a_sentence_and_listed(tmp_path: Path) -> None:
    """A folder of another version is refused by what to do; the listing shows it beside the others, newest first."""
    ours, newer = create(tmp_path, now=100.0), create(tmp_path, now=200.0)
    foreign = tmp_path / "runs/foreign"
    foreign.mkdir()
    (foreign / "run.json").write_text('{"format_version": 2}')
    with pytest.raises(BadInput, match="format 2 and this program reads 1: open it with the version that made it"):
        runs.get(foreign)
    listed = {run.id: run for run in runs.listing(tmp_path / "runs")}
    assert list(listed)[1:] == [newer.id, ours.id]
    assert (listed["foreign"].state, "format 2" in listed["foreign"].error) == (RunState.LOST, True)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format_version": 1}', '{"format_version": 1, "created_at": 1, "config": {"x": 1}}']
)
def test_a_damaged_record_is_a_sentence(tmp_path: Path, content: str) -> None:
    """A record that cannot be read says which file to restore."""
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(BadInput, match=r"run\.json is damaged"):
        runs.get(tmp_path)


def test_no_run_is_not_found(tmp_path: Path) -> None:
    """A folder without a record is no run."""
    with pytest.raises(NotFound, match="is not a run"):
        runs.get(tmp_path)


def test_a_run_shows_what_its_monitors_marked(tmp_path: Path) -> None:
    """Alerts are sentences on the run, oldest first."""
    run = create(tmp_path)
    alert = {"monitor": "gradient_norm", "step": 1, "epoch": 1, "text": "Lower the rate.", "stops": False}
    tell(run, START, step(1), ("alert", alert), ("alert", alert | {"text": "Stop."}))
    assert runs.get(run.path).alerts == ("Lower the rate.", "Stop.")


def test_a_trainer_that_comes_second_has_nothing_to_do(tmp_path: Path) -> None:
    """A launch that another trainer took up is over; one that was started by hand goes on from wherever the run is."""
    run = create(tmp_path)
    launcher.must_be_current(run.path, {launcher.AFTER_SEQ: "-1"})
    tell(run, START)
    launcher.must_be_current(run.path, {})
    launcher.must_be_current(run.path, {launcher.AFTER_SEQ: "0"})
    with pytest.raises(Busy, match="Another trainer of My-robin"):
        launcher.must_be_current(run.path, {launcher.AFTER_SEQ: "-1"})


def test_the_exit_status_is_that_of_the_last_launch(tmp_path: Path) -> None:
    """A status that was noted for an earlier launch says nothing of the last one."""
    run = create(tmp_path)
    folder = RunFolder(run.path)
    folder.launched.write_text('{"at": 1000.0, "after_seq": -1, "attempt": 1}')
    assert runs.exit_status(run.path) is None
    folder.exited.write_text('{"launched_at": 1000.0, "status": -9}')
    assert runs.exit_status(run.path) == -9
    folder.launched.write_text('{"at": 2000.0, "after_seq": -1, "attempt": 2}')
    assert runs.exit_status(run.path) is None
