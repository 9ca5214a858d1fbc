"""Full fine-tuning on a small disk, from the first checkpoint to the last: nothing goes that nobody judged, and the run
ends as it would have on a large one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from engine import backends, checkpoints, durable, lease
from engine.runs import launcher
from engine.runs.folder import RunFolder
from engine.studio import Studio
from engine.types import Outcome, Refused, RunConfig, RunState
from engine.workspace import Workspace
from tests import small_disk
from tests.studio.test_training import prepare
from tests.train.trainer import QUOTA, executable, weights_bytes
from tests.waiting import PATIENCE_SEC, wait_until


@pytest.fixture(name="studio")
def _studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """An open workspace whose trainers know the toy voice and, from the environment, a quota."""
    monkeypatch.setitem(backends.BACKENDS, "toy", "tests.train.toy_voice")
    monkeypatch.setitem(backends.INFO, "toy", "tests.train.toy_voice")
    monkeypatch.setattr(launcher, "launch", partial(launcher.launch, python=executable(tmp_path)))
    with Studio(Workspace(tmp_path / "home"), device="cpu") as studio:
        studio.watch_queue()
        yield studio
        for run in studio.runs():
            if not run.state.is_over:
                studio.stop_run(run.id, force=True)
                studio.wait_run(run.id, timeout_sec=PATIENCE_SEC)


@pytest.fixture(name="config")
def _config(studio: Studio, tmp_path: Path) -> RunConfig:
    made = prepare(studio.workspace, tmp_path / "source", "toy")
    return small_disk.config(made.id, "roomy")


def test_a_full_run_on_a_small_disk_pauses_is_judged_and_ends_as_on_a_large_one(
    studio: Studio, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills and the run waits, says how its device is freed, and waits again when it is resumed; without a
    verdict nothing may go; what reviewers failed goes to the trash, which makes room once somebody types what is
    deleted; the run goes on by itself, every weight is that of an undisturbed run, and what was promoted is there to
    the byte.
    """
    roomy = studio.wait_run(studio.start_run(config).id, timeout_sec=PATIENCE_SEC)
    assert roomy.state is RunState.COMPLETED, roomy.error
    monkeypatch.setenv(QUOTA, str(weights_bytes(studio.workspace.root) + small_disk.room(roomy.path)))
    run = studio.start_run(RunConfig(**{**vars(config), "name": "small"}))
    wait_until(lambda: studio.run(run.id).state is RunState.PAUSED)
    assert "Stop it to use its device meanwhile" in studio.run(run.id).error
    assert "paused until there is room" in lease.holder(studio.workspace, "cpu")
    studio.stop_run(run.id)  # as somebody does who wants the device for rendering
    assert studio.wait_run(run.id, timeout_sec=PATIENCE_SEC).state is RunState.STOPPED
    wait_until(lambda: not lease.holder(studio.workspace, "cpu"))
    studio.resume_run(run.id)
    wait_until(lambda: studio.run(run.id).state is RunState.PAUSED)

    own = [f"{run.id}@{c.step:06d}" for c in checkpoints.listing(run.path)]
    assert 4 <= len(own) < small_disk.EPOCHS
    before = durable.checksums(RunFolder(run.path).checkpoints)
    with pytest.raises(Refused, match="no verdict yet"):
        studio.trash(own[:1], by="ada")
    small_disk.judge(studio, own[:3], own[3])
    outcomes = {v.candidate.checkpoint_id: v.outcome for v in studio.verdicts()}
    assert [outcomes[each] for each in own[:4]] == [Outcome.FAIL] * 3 + [Outcome.PASS]
    assert durable.checksums(RunFolder(run.path).checkpoints) == before
    studio.promote(small_disk.candidate(own[3]), alias="production/tick", by="ada")
    with pytest.raises(Refused, match="promoted as production/tick"):
        studio.trash([own[3]], by="ada")

    studio.trash(own[:3], by="ada")
    stones = studio.trashed()
    with pytest.raises(Refused, match="can be purged in 14"):
        studio.purge(stones[0].id, by="ada")
    assert studio.run(run.id).state is RunState.PAUSED
    for stone in stones:
        studio.purge(stone.id, by="ada", typed=stone.checkpoint_id)

    wait_until(lambda: studio.run(run.id).state.is_over)
    ended = studio.run(run.id)
    assert ended.state is RunState.COMPLETED, (ended.error, RunFolder(run.path).log.read_text(encoding="utf-8"))
    assert small_disk.weights(run.path) == {
        s: w for s, w in small_disk.weights(roomy.path).items() if f"{run.id}@{s:06d}" not in own[:3]
    }
    checkpoints.verify(studio.checkpoint(own[3]).path)
    assert studio.promotion("production/tick").candidate.checkpoint_id == own[3]
    assert studio.inspect(checksums=True) == []
