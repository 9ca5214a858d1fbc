"""Full fine-tuning on a small disk, from the first checkpoint to the last: nothing goes that nobody judged, and the run
ends as it would have on a large one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from engine import backends, checkpoints, disk, durable, runs
from engine.run_folder import RunFolder
from engine.studio import Studio
from engine.train import state_files
from engine.trash import PURGE_AFTER_SEC
from engine.types import Candidate, Choice, Outcome, Refused, RunConfig, RunState, Tier
from engine.workspace import Workspace
from tests.studio.test_training import PATIENCE_SEC, prepare, wait_until
from tests.test_studio import put_clip
from tests.train.trainer import QUOTA, executable, weights_bytes

EPOCHS = 7
REVIEWERS = ("ada", "bo", "cy")
SECONDS = {Tier.SHORT: 5.0, Tier.MEDIUM: 15.0, Tier.LONG: 32.0}


@dataclass
class Clock:
    """The real time, and what a test adds to it."""

    ahead_sec: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_sec


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="studio")
def _studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Studio]:
    """An open workspace whose trainers know the toy voice and, from the environment, a quota."""
    monkeypatch.setitem(backends.BACKENDS, "toy", "tests.train.toy_voice")
    monkeypatch.setitem(backends.INFO, "toy", "tests.train.toy_voice")
    monkeypatch.setattr(runs, "launch", partial(runs.launch, python=executable(tmp_path)))
    with Studio(Workspace(tmp_path / "home"), clock=clock, device="cpu") as studio:
        studio.watch_queue()
        yield studio
        for run in studio.runs():
            if not run.state.is_over:
                studio.stop_run(run.id, force=True)
                studio.wait_run(run.id, timeout_sec=PATIENCE_SEC)


@pytest.fixture(name="config")
def _config(studio: Studio, tmp_path: Path) -> RunConfig:
    made = prepare(studio.workspace, tmp_path / "source", "toy")
    return RunConfig(
        name="roomy",
        dataset=made.id,
        backend="toy",
        method="full",
        epochs=EPOCHS,
        batch_tokens=200,
        learning_rate=0.003,
        device="cpu",
    )


def test_a_full_run_on_a_small_disk_pauses_is_judged_and_ends_as_on_a_large_one(
    studio: Studio, config: RunConfig, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills and the run waits, resumed too; without a verdict nothing may go; what reviewers failed goes
    to the trash, which makes room once it is emptied; the run goes on by itself, every weight is that of an
    undisturbed run, and what was promoted is there to the byte.
    """
    roomy = studio.wait_run(studio.start_run(config).id, timeout_sec=PATIENCE_SEC)
    assert roomy.state is RunState.COMPLETED, roomy.error
    monkeypatch.setenv(QUOTA, str(weights_bytes(studio.workspace.root) + _room(studio, roomy.path)))
    run = studio.start_run(RunConfig(**{**vars(config), "name": "small"}))
    wait_until(lambda: studio.run(run.id).state is RunState.PAUSED)
    studio.stop_run(run.id)  # as somebody does who wants the device for rendering
    assert studio.wait_run(run.id, timeout_sec=PATIENCE_SEC).state is RunState.STOPPED
    studio.resume_run(run.id)
    wait_until(lambda: studio.run(run.id).state is RunState.PAUSED)

    own = [f"{run.id}@{c.step:06d}" for c in checkpoints.listing(run.path)]
    assert 4 <= len(own) < EPOCHS
    before = durable.checksums(RunFolder(run.path).checkpoints)
    with pytest.raises(Refused, match="no verdict yet"):
        studio.trash(own[:1], by="ada")
    _judge(studio, own[:3], own[3])
    outcomes = {v.candidate.checkpoint_id: v.outcome for v in studio.verdicts()}
    assert [outcomes[each] for each in own[:4]] == [Outcome.FAIL] * 3 + [Outcome.PASS]
    assert durable.checksums(RunFolder(run.path).checkpoints) == before
    studio.promote(_candidate(own[3]), alias="production/tick", by="ada")
    with pytest.raises(Refused, match="promoted as production/tick"):
        studio.trash([own[3]], by="ada")

    studio.trash(own[:3], by="ada")
    stones = studio.trashed()
    with pytest.raises(Refused, match="can be purged in"):
        studio.purge(stones[0].id, by="ada")
    assert studio.run(run.id).state is RunState.PAUSED
    clock.ahead_sec = PURGE_AFTER_SEC + 60.0
    for stone in stones:
        studio.purge(stone.id, by="ada")

    wait_until(lambda: studio.run(run.id).state.is_over)
    ended = studio.run(run.id)
    assert ended.state is RunState.COMPLETED, (ended.error, RunFolder(run.path).log.read_text(encoding="utf-8"))
    assert _weights(run.path) == {s: w for s, w in _weights(roomy.path).items() if f"{run.id}@{s:06d}" not in own[:3]}
    checkpoints.verify(studio.checkpoint(own[3]).path)
    assert studio.promotion("production/tick").candidate.checkpoint_id == own[3]
    assert studio.inspect(checksums=True) == []


def _room(studio: Studio, run_dir: Path) -> int:
    """A quota's room for four checkpoints with two states, and for what a trainer wants to have left before a fifth."""
    one = checkpoints.listing(run_dir)[-1]
    weights, state = weights_bytes(one.path), weights_bytes(state_files.path_of(run_dir, one.step))
    start = next(event.data for event in runs.events(run_dir) if event.kind == "start")
    wanted = 2 * (12 * int(start["parameters"]) + 64 * 1024)
    return int(3.5 * weights) + 2 * state + wanted + disk.RESERVE_BYTES


def _candidate(checkpoint_id: str) -> Candidate:
    return Candidate(backend="toy", voice="tock", checkpoint_id=checkpoint_id, lora_scale=1.0)


def _judge(studio: Studio, failing: Sequence[str], passing: str) -> None:
    """Every reviewer hears every tier of the candidates beside the base's, and says what they think."""
    candidates = [_candidate(each) for each in (*failing, passing)]
    for candidate in (Candidate(backend="toy", voice="tock"), *candidates):
        for tier in Tier:
            put_clip(studio, candidate, tier, duration_sec=SECONDS[tier])
    for reviewer in REVIEWERS:
        session = studio.open_gate_session(candidates, reviewer=reviewer)
        by_trial: Callable[[str], Candidate] = partial(_heard, studio, session.id)
        while (trial := studio.next_trial(session.id)) is not None:
            fails = by_trial(trial.trial_id).checkpoint_id in failing
            reasons = ("dropped word",) if fails else ()
            studio.answer(trial.trial_id, Choice.FAIL if fails else Choice.PASS, reasons=reasons)
    studio.judge(by="ada")


def _heard(studio: Studio, session_id: str, trial_id: str) -> Candidate:
    trial = next(each for each in studio.store.trials(session_id) if each.id == trial_id)
    return studio.store.clip(trial.slots[0].clip_id).candidate


def _weights(run_dir: Path) -> dict[int, str]:
    return {c.step: c.adapter.sha256 for c in checkpoints.listing(run_dir)}
