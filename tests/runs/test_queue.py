"""The queue: its order, what waits, and that nothing of it is lost with the app."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import runs
from engine.runs.folder import RunFolder
from engine.runs.queue import Queue
from engine.runs.state import LAUNCHES, START_GRACE_SEC
from engine.types import BadInput, Busy, Refused, RunState
from engine.workspace import Workspace
from tests.run_factory import create, tell

START = ("start", {"pid": 1, "step": 0, "epoch": 1, "total_steps": 8})


@pytest.fixture(name="workspace")
def _workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.create()
    return workspace


def queue_of(workspace: Workspace) -> Queue:
    return Queue(workspace, clock=lambda: 1_000.0)


def filled(workspace: Workspace, count: int = 3) -> tuple[Queue, list[str]]:
    """A queue of some runs, and their ids in order."""
    queue = queue_of(workspace)
    made = [create(workspace, f"run{n}", now=float(n)) for n in range(count)]
    for run in made:
        queue.add(run.path)
    return queue, [run.id for run in made]


def ids(queue: Queue) -> list[str]:
    return [run.id for run in queue.waiting()]


def test_runs_wait_in_the_order_in_which_they_were_queued(workspace: Workspace) -> None:
    """First come, first trained; each knows its position, 1 being next."""
    queue, expected = filled(workspace)
    assert ids(queue) == expected
    assert [run.queue_position for run in queue.waiting()] == [1, 2, 3]


@pytest.mark.parametrize(("position", "expected"), [(1, [2, 0, 1]), (2, [0, 2, 1]), (3, [0, 1, 2]), (99, [0, 1, 2])])
def test_a_run_is_moved_and_the_others_keep_their_order(
    workspace: Workspace, position: int, expected: list[int]
) -> None:
    """Moving changes one run's place; a place beyond the end is the end."""
    queue, made = filled(workspace)
    queue.move(made[2], position)
    assert ids(queue) == [made[n] for n in expected]


def test_the_order_survives_the_app(workspace: Workspace) -> None:
    """Another app that opens the workspace finds the same queue."""
    queue, made = filled(workspace)
    queue.move(made[2], 1)
    assert ids(queue_of(workspace)) == [made[2], made[0], made[1]]


@pytest.mark.parametrize("damage", [None, "", "{", '{"runs": 3}', '["a"]', '{"runs": ["gone", "gone too"]}'])
def test_a_lost_order_loses_no_run(workspace: Workspace, damage: str | None) -> None:
    """Which runs wait is told by their folders; without a readable order they wait by age."""
    queue, made = filled(workspace)
    queue.move(made[2], 1)
    if damage is None:
        workspace.queue.unlink()
    else:
        workspace.queue.write_text(damage)
    assert ids(queue_of(workspace)) == made


def test_a_cancelled_run_keeps_its_folder(workspace: Workspace) -> None:
    """Cancelling takes a run out of the queue and nothing off the disk."""
    queue, made = filled(workspace)
    queue.cancel(made[0])
    assert ids(queue) == made[1:]
    cancelled = runs.get(workspace.runs / made[0])
    assert (cancelled.state, cancelled.queue_position) == (RunState.STOPPED, None)


def test_a_run_can_be_queued_again(workspace: Workspace) -> None:
    """A cancelled run and one that ended badly wait at the end when they are resumed."""
    queue, made = filled(workspace, 2)
    queue.cancel(made[0])
    queue.add(workspace.runs / made[0])
    failed = create(workspace, "broken", now=9.0)
    tell(failed, START, ("end", {"reason": "failed", "exit": 1, "error": "It broke.", "step": 3}))
    queue.add(failed.path)
    assert ids(queue) == [made[1], made[0], failed.id]
    assert runs.get(failed.path).state is RunState.QUEUED


def test_a_resumed_run_that_is_cancelled_is_what_it_was(workspace: Workspace) -> None:
    """Taking a resumed run out of the queue gives it back its former end."""
    queue = queue_of(workspace)
    run = create(workspace, "broken")
    tell(run, START, ("end", {"reason": "failed", "exit": 1, "error": "It broke.", "step": 3}))
    queue.add(run.path)
    queue.cancel(run.id)
    assert runs.get(run.path).state is RunState.FAILED
    assert ids(queue) == []


def test_a_trainer_that_spoke_has_left_the_queue(workspace: Workspace) -> None:
    """The queue needs no writing when a run starts: its first word ends its waiting, also without an app."""
    queue, made = filled(workspace, 2)
    tell(runs.get(workspace.runs / made[0]), START)
    assert ids(queue) == [made[1]]
    assert runs.get(workspace.runs / made[0]).state is RunState.LOST


def test_only_what_waits_can_be_moved_or_cancelled(workspace: Workspace) -> None:
    """The answer names what does wait; a position below one is no position."""
    queue, made = filled(workspace, 1)
    with pytest.raises(Refused, match=f"waiting are: {made[0]}"):
        queue.cancel("nobody")
    with pytest.raises(Refused, match="nobody does not wait"):
        queue.move("nobody", 1)
    with pytest.raises(BadInput, match="begin with 1"):
        queue.move(made[0], 0)


def test_what_is_complete_or_under_way_is_not_queued(workspace: Workspace) -> None:
    """A complete run is done; one that is coming up is told so."""
    queue = queue_of(workspace)
    done, coming = create(workspace, "done"), create(workspace, "coming", now=1.0)
    tell(done, START, ("end", {"reason": "completed", "exit": 0, "error": "", "step": 8}))
    RunFolder(coming.path).launched.write_text('{"at": 99999999999.0, "after_seq": -1}')
    with pytest.raises(Refused, match="is complete"):
        queue.add(done.path)
    with pytest.raises(Busy, match="is starting"):
        queue.add(coming.path)


def test_a_launch_that_came_to_nothing_waits_again_but_not_for_ever(workspace: Workspace) -> None:
    """The app may die between writing a launch down and doing it: the run waits again after the grace, a few times."""
    _, made = filled(workspace, 1)
    folder = RunFolder(workspace.runs / made[0])

    def state(attempt: int, now: float) -> RunState:
        folder.launched.write_text(f'{{"at": 1000.0, "after_seq": -1, "attempt": {attempt}}}')
        return runs.get(folder.path, clock=lambda: now).state

    assert state(1, 1000 + START_GRACE_SEC - 1) is RunState.STARTING
    assert state(1, 1000 + START_GRACE_SEC + 1) is RunState.QUEUED
    assert state(LAUNCHES, 1000 + START_GRACE_SEC + 1) is RunState.LOST
    folder.exited.write_text('{"launched_at": 1000.0, "status": 3}')
    assert state(1, 1001) is RunState.LOST


def test_a_damaged_folder_stops_no_queue(workspace: Workspace) -> None:
    """A run whose record cannot be read is passed over."""
    queue, made = filled(workspace, 2)
    record = RunFolder(workspace.runs / made[0]).record
    record.chmod(0o644)
    record.write_text("{")
    assert ids(queue) == [made[1]]
