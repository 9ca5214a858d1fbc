"""The scheduler: the next run starts when its device is free, whatever became of the one before and of the app."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from engine import lease, runs
from engine.runs import failures, launcher
from engine.runs.folder import RunFolder
from engine.runs.queue import Queue
from engine.runs.scheduler import Scheduler
from engine.runs.state import START_GRACE_SEC
from engine.types import EngineError, Run, RunState
from engine.workspace import Workspace
from tests.run_factory import create, executable
from tests.waiting import wait_until

APP = """
import sys, time
from functools import partial
from pathlib import Path
from engine.runs.queue import Queue
from engine.runs.scheduler import Scheduler
from engine.workspace import Workspace
from engine.runs import launcher
from tests.run_factory import create
workspace = Workspace(Path(sys.argv[1]))
queue = Queue(workspace, clock=time.time)
launch = partial(launcher.launch, python=sys.argv[2])
scheduler = Scheduler(workspace, queue, launch=launch, clock=time.time, poll_sec=0.02)
print('open', flush=True)
for n in range(3):
    queue.add(create(workspace, f'run{n}', now=float(n)).path)
scheduler.start()
time.sleep(60)
"""


@pytest.fixture(name="workspace")
def _workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    workspace.create()
    return workspace


@pytest.fixture(name="queue")
def _queue(workspace: Workspace) -> Queue:
    return Queue(workspace, clock=time.time)


@pytest.fixture(name="scheduler")
def _scheduler(workspace: Workspace, queue: Queue, tmp_path: Path) -> Iterator[Scheduler]:
    launch = partial(launcher.launch, python=executable(tmp_path))
    scheduler = Scheduler(workspace, queue, launch=launch, clock=time.time, poll_sec=0.02)
    yield scheduler
    scheduler.close()
    for folder in workspace.runs.iterdir():  # no trainer outlives its test
        if not runs.get(folder).state.is_over:
            launcher.stop(folder)
            wait_until(lambda folder=folder: runs.get(folder).state.is_over)


def add(workspace: Workspace, queue: Queue, *names: str, device: str = "cpu") -> list[Path]:
    now = float(len(list(workspace.runs.iterdir())))
    paths = [create(workspace, name, now=now + n, device=device).path for n, name in enumerate(names)]
    for path in paths:
        queue.add(path)
    return paths


def state(path: Path) -> RunState:
    return runs.get(path).state


def starts(path: Path) -> int:
    """How often a trainer began to train."""
    return sum(event.kind == "start" for event in runs.events(path))


def pretend(workspace: Workspace, queue: Queue, started: list[str]) -> Scheduler:
    """A scheduler that only notes what it would start."""
    return Scheduler(workspace, queue, launch=lambda path: started.append(path.name), clock=time.time)


def test_one_run_a_device(workspace: Workspace, queue: Queue) -> None:
    """Of two runs for one device the first is started; a run for another device does not wait for them."""
    started: list[str] = []
    [first, second] = add(workspace, queue, "a", "b")
    [other] = add(workspace, queue, "c", device="cuda:1")
    assert pretend(workspace, queue, started).tick() == [first.name, other.name]
    assert started == [first.name, other.name]
    assert state(second) is RunState.QUEUED


def test_a_run_that_needs_two_cards_is_not_overtaken(workspace: Workspace, queue: Queue) -> None:
    """Who waits for a device keeps those behind it from that device: a large run's turn comes."""
    started: list[str] = []
    large = create(workspace, "large", device="cuda:0", processes=1)
    small = create(workspace, "small", now=1.0, device="cuda:0")
    queue.add(large.path)
    queue.add(small.path)
    with lease.hold(workspace, ("cuda:0",), what="rendering"):
        assert pretend(workspace, queue, started).tick() == []
    assert pretend(workspace, queue, started).tick() == [large.id]


def test_a_rendering_app_is_waited_for_and_named(workspace: Workspace, queue: Queue) -> None:
    """While the app renders, a run waits and says for whom; then it starts."""
    started: list[str] = []
    [path] = add(workspace, queue, "a")
    scheduler = pretend(workspace, queue, started)
    with lease.hold(workspace, ("cpu",), what="rendering a sweep"):
        assert scheduler.tick() == []
        assert scheduler.reason(runs.get(path)) == "Waits for cpu: rendering a sweep"
    assert scheduler.tick() == [path.name]


def test_a_trainer_that_comes_up_has_its_device(workspace: Workspace, queue: Queue) -> None:
    """Between its launch and its lease a trainer's device is not free: two ticks start one run."""
    paths = add(workspace, queue, "a", "b")

    def launch(path: Path) -> None:
        RunFolder(path).launched.write_text(f'{{"at": {time.time()}, "after_seq": -1}}')

    scheduler = Scheduler(workspace, queue, launch=launch, clock=time.time)
    assert [scheduler.tick(), scheduler.tick()] == [[paths[0].name], []]


@pytest.mark.parametrize("error", [EngineError("No."), OSError(28, "No space left on device")])
def test_a_run_that_cannot_be_started_stops_no_queue(workspace: Workspace, queue: Queue, error: Exception) -> None:
    """The next one has its turn, and nothing is raised into a page or the thread."""
    [first, second] = add(workspace, queue, "a", "b")

    def launch(path: Path) -> None:
        if path == first:
            raise error

    assert Scheduler(workspace, queue, launch=launch, clock=time.time).tick() == [second.name]


def test_a_missing_interpreter_is_a_failure_with_its_reason(workspace: Workspace, queue: Queue) -> None:
    """A trainer that cannot be started at all is lost at once, and its card says so."""
    [path] = add(workspace, queue, "a")
    launch = partial(launcher.launch, python="/nowhere/python")
    assert Scheduler(workspace, queue, launch=launch, clock=time.time).tick() == []
    card = failures.failure(path)
    assert card is not None
    assert (card.exit_status, "could not be started" in card.reason) == (launcher.NOT_STARTED, True)
    assert "could not be started" in card.log[-1]


def test_the_second_starts_after_the_first_ran_out_of_memory(
    workspace: Workspace, queue: Queue, scheduler: Scheduler
) -> None:
    """A crash stops no queue; the card of the crashed run names the class of memory and what to change."""
    first, second = add(workspace, queue, "oom", "b")
    scheduler.start()
    wait_until(lambda: state(second) is RunState.COMPLETED)
    card = failures.failure(first)
    assert card is not None
    assert (card.memory_class, card.changes[0].setting, card.changes[0].new) == ("activations", "batch_tokens", 750)
    assert (card.exit_status, starts(first), starts(second)) == (1, 1, 1)
    assert "can't allocate memory" in card.log[-1]


def test_the_queue_goes_on_after_kills_and_silent_ends(
    workspace: Workspace, queue: Queue, scheduler: Scheduler
) -> None:
    """A trainer that was killed and one that never spoke are lost; what waits behind them is trained."""
    killed, silent, third = add(workspace, queue, "killed", "silent", "c")
    scheduler.start()
    wait_until(lambda: state(third) is RunState.COMPLETED)
    assert (state(killed), state(silent)) == (RunState.LOST, RunState.LOST)
    cards = [failures.failure(path) for path in (killed, silent)]
    assert [card.exit_status for card in cards if card] == [-9, 3]
    assert cards[0] is not None
    assert cards[0].memory_class == failures.MACHINE


def test_a_living_trainer_is_found_again(workspace: Workspace, queue: Queue, scheduler: Scheduler) -> None:
    """Closing the app ends no training; the next app sees it by its lease and starts the second run after it."""
    first, second = add(workspace, queue, "long", "b")
    scheduler.tick()
    wait_until(lambda: state(first) is RunState.RUNNING)
    scheduler.close()
    reopened = Scheduler(
        workspace, Queue(workspace, clock=time.time), launch=scheduler._launch, clock=time.time, poll_sec=0.02
    )
    try:
        assert reopened.tick() == []
        assert reopened.reason(runs.get(second)) == f"Waits for cpu: training {first.name}"
        reopened.start()
        launcher.stop(first)
        wait_until(lambda: state(second) is RunState.COMPLETED)
    finally:
        reopened.close()
    assert (state(first), starts(first), starts(second)) == (RunState.STOPPED, 1, 1)


def test_a_closed_scheduler_starts_nothing(workspace: Workspace, queue: Queue) -> None:
    """After the studio is closed what waits keeps waiting."""
    started: list[str] = []
    add(workspace, queue, "a")
    scheduler = pretend(workspace, queue, started)
    scheduler.start()
    scheduler.close()
    started.clear()
    assert scheduler.tick() == []
    assert started == []


def test_a_cancelled_run_is_never_started(workspace: Workspace, queue: Queue) -> None:
    """Cancelling and starting exclude one another: what was cancelled stays so."""
    started: list[str] = []
    first, second = add(workspace, queue, "a", "b")
    queue.cancel(first.name)
    assert pretend(workspace, queue, started).tick() == [second.name]
    assert state(first) is RunState.STOPPED


def _finish(workspace: Workspace, python: str, expected: int) -> list[Run]:
    """What another app makes of a workspace whose app was killed; its clock is past the grace of a silent launch."""
    later: Callable[[], float] = lambda: time.time() + START_GRACE_SEC  # noqa: E731
    queue = Queue(workspace, clock=later)
    scheduler = Scheduler(workspace, queue, launch=partial(launcher.launch, python=python), clock=later, poll_sec=0.02)
    scheduler.start()
    try:
        wait_until(lambda: sum(state(path.parent) is RunState.COMPLETED for path in _records(workspace)) == expected)
    finally:
        scheduler.close()
    return [runs.get(path.parent) for path in _records(workspace)]


def _records(workspace: Workspace) -> list[Path]:
    return sorted(workspace.runs.glob("*/run.json"))


@pytest.mark.parametrize("moment", range(8))
def test_an_app_killed_at_any_moment_loses_no_run_and_starts_none_twice(
    workspace: Workspace, tmp_path: Path, moment: int
) -> None:
    """Killed between queueing and starting: every run that is there is trained once, by this app or the next."""
    python = executable(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    app = subprocess.Popen(
        [sys.executable, "-c", APP, str(workspace.root), python], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert app.stdout is not None
    assert app.stdout.readline() == "open\n"
    time.sleep(random.Random(moment).uniform(0, 0.2) * moment / 2)
    app.kill()
    app.wait()
    there = len(_records(workspace))
    finished = _finish(workspace, python, there)
    assert [starts(run.path) for run in finished] == [1] * there
    assert queue_is_empty(workspace)


def queue_is_empty(workspace: Workspace) -> bool:
    return Queue(workspace, clock=time.time).waiting() == []
