"""Keeping: what goes comes back exactly, the log and the disk agree whatever died, and what is missing is told."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine import durable, trash
from engine.inventory import state_of
from engine.studio import Studio
from engine.types import Refused
from engine.workspace import Workspace
from tests.keeping_writer import ROOT, check, publish

DAY = 86_400.0
ACTS = ("trash", "undo", "purge", "promote", "export")


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> Iterator[Studio]:
    """Three judged checkpoints that failed, each with its optimizer's state."""
    now = iter(range(1000, 100_000, 20))
    with Studio(Workspace(tmp_path / "home"), clock=lambda: next(now) * DAY) as studio:
        for step in (1, 2, 3):
            publish(studio, step)
        yield studio


def everything(studio: Studio) -> dict[str, str]:
    return durable.checksums(studio.workspace.runs)


def test_the_state_goes_and_comes_back_with_its_checkpoint(studio: Studio) -> None:
    """Optimizer states follow the same rule as the weights that they belong to, and undo restores every byte."""
    before = everything(studio)
    state = state_of(studio.checkpoint("robin@000001"))
    studio.trash(["robin@000001"], by="ada")
    assert not state.exists()
    (stone,) = studio.trashed()
    assert {s.checkpoint_id for s in trash.listing(studio.workspace.trash)} == {"robin@000001", "robin@000001+state"}
    assert studio.undo(stone.id, by="ada") == "robin@000001"
    assert everything(studio) == before
    assert studio.trashed() == []


def test_every_act_is_in_the_log_with_its_verdicts(studio: Studio) -> None:
    """Who, when, which checkpoint, under which verdicts: also for a purge."""
    studio.trash(["robin@000001"], by="ada")
    for stone in studio.trashed():
        studio.purge(stone.id, by="bo")
    acts = [act for act in studio.store.acts() if not act.data["checkpoint"].endswith("+state")]
    assert [(act.kind, act.who) for act in acts] == [("trash", "ada"), ("purge", "bo")]
    assert all(act.data["verdicts"] for act in acts)


def test_an_early_purge_is_in_the_log_with_its_state(tmp_path: Path) -> None:
    """Typed within the delay, checkpoint and optimizer's state go together, and the log says who and that it was early;
    a process that dies before its line leaves the same one to the next start.
    """
    with Studio(Workspace(tmp_path / "home"), clock=lambda: 1000.0) as studio:
        for step in (1, 2, 3):
            publish(studio, step)
        for step, dies in ((1, False), (2, True)):
            (stone,) = studio.trash([f"robin@{step:06d}"], by="ada")
            with pytest.raises(Refused, match="type its id"):
                studio.purge(stone.id, by="bo", typed="robin@000003")
            if dies:
                trash.purge(stone, trash=studio.workspace.trash, now=1000.0, by="bo", typed=stone.checkpoint_id)
                studio.repair()
            else:
                studio.purge(stone.id, by="bo", typed=stone.checkpoint_id)
            last = {a.data["checkpoint"]: (a.kind, a.who, a.data.get("early")) for a in studio.store.acts()}
            for name in (stone.checkpoint_id, f"{stone.checkpoint_id}+state"):
                assert last[name] == ("purge", "bo", True)
            assert trash.listing(studio.workspace.trash) == []


def test_what_is_purged_is_let_go_of(studio: Studio) -> None:
    """A checkpoint that a loaded model holds is forgotten when it is purged, or its room would stay taken."""
    sha256 = studio.checkpoint("robin@000001").adapter.sha256
    host = SimpleNamespace(loaded=(sha256, "other"), remove=lambda one: removed.append(one), model=None)
    removed: list[str] = []
    studio._hosts["toy"] = host  # type: ignore[assignment]
    (stone,) = studio.trash(["robin@000001"], by="ada")
    assert removed == []
    studio.purge(stone.id, by="bo")
    assert removed == [sha256]


def test_acts_need_a_name(studio: Studio) -> None:
    """Nothing goes without somebody who answers for it."""
    with pytest.raises(Refused, match="name of the person"):
        studio.trash(["robin@000001"], by=" ")
    studio.trash(["robin@000001"], by="ada")
    with pytest.raises(Refused, match="name of the person"):
        studio.purge(studio.trashed()[0].id, by="")


def test_what_was_done_and_not_noted_is_noted_at_the_next_start(studio: Studio) -> None:
    """A process that dies between the move and the log's line leaves a log that the next start completes."""
    checkpoint = studio.checkpoint("robin@000001")
    stone = trash.move(
        checkpoint, trash=studio.workspace.trash, by="ada", reason="failed", verdict_ids=["v"], now=2000 * DAY
    )
    assert any("trash of robin@000001" in told for told in studio.repair())
    assert studio.store.acts("trash")[-1].data["recovered"] is True
    trash.undo(stone, trash=studio.workspace.trash)
    assert any("undo of robin@000001" in told for told in studio.repair())
    assert studio.repair() == []


def test_what_vanished_or_was_altered_is_told(studio: Studio) -> None:
    """A checkpoint that somebody removed or changed is reported, never silently left out."""
    from engine.events import EventLog

    run = studio.workspace.runs / "robin"
    with EventLog(run / "events.jsonl", lambda: 1.0) as events:
        for step in (1, 2, 3):
            events.append("checkpoint", step=step, epoch=1, path=f"step_{step:06d}")
    assert studio.inspect(checksums=True) == []
    shutil.rmtree(run / "checkpoints" / "step_000001")
    weights = run / "checkpoints" / "step_000002" / "lm" / "adapter_model.safetensors"
    weights.write_bytes(b"x" * weights.stat().st_size)
    (run / "checkpoints" / "step_000003" / "adapter.json").write_text("{}")
    told = studio.inspect()
    assert [("robin@000001 was published and is gone" in t, "step_000003" in t) for t in told] == [
        (True, False),
        (False, True),
    ]
    assert "adapter_model.safetensors was altered" in studio.inspect(checksums=True)[1]


def test_the_trash_is_not_missing(studio: Studio) -> None:
    """What was moved by a named person is not reported as vanished, nor is what was purged."""
    from engine.events import EventLog

    with EventLog(studio.workspace.runs / "robin" / "events.jsonl", lambda: 1.0) as events:
        events.append("checkpoint", step=1, epoch=1, path="step_000001")
    studio.trash(["robin@000001"], by="ada")
    assert studio.inspect() == []
    for stone in studio.trashed():
        studio.purge(stone.id, by="ada")
    assert studio.inspect() == []


def test_the_budget_has_a_line_for_each_kind(studio: Studio) -> None:
    """Adapters and optimizer states are counted apart, with what may go of each."""
    lines = {line.what: line for line in studio.spent()}
    assert lines["adapters"].count == lines["optimizer states"].count == 3
    assert 0 < lines["adapters"].may_go_bytes < lines["adapters"].bytes
    assert lines["optimizer states"].may_go_bytes == 2 * 5000
    studio.trash(["robin@000001"], by="ada")
    assert {line.what for line in studio.spent()} >= {"trash"}


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_tears_nothing_and_loses_nothing(tmp_path: Path, seed: int) -> None:
    """Killed at any moment of trash, undo, purge, promote and export, twice in a row: all is whole, the log agrees."""
    draw = random.Random(seed)
    home, acknowledged = tmp_path / "home", []
    for life in range(2):
        command = [sys.executable, str(ROOT / "tests" / "keeping_writer.py"), str(home), str(10 * seed + life)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ))
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        while life and not any(told.startswith(ACTS) for told in acknowledged):  # however busy the machine is
            acknowledged.append(child.stdout.readline().strip())
        time.sleep(draw.uniform(0.05, 1.2))
        child.send_signal(signal.SIGKILL)
        acknowledged += child.stdout.read().splitlines()
        child.wait()
        child.stdout.close()
        assert check(home, acknowledged) == []
    assert [told for told in acknowledged if told.startswith(ACTS)]
