"""One lease a device: who has it, who waits, and that it ends with its holder."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine import lease
from engine.types import Busy, RunConfig
from engine.workspace import Workspace

HOLD = """
import sys, time
from pathlib import Path
from engine import lease
from engine.workspace import Workspace
with lease.hold(Workspace(Path(sys.argv[1])), ('cpu',), what='training robin-1'):
    print('held', flush=True)
    time.sleep(60)
"""


@pytest.fixture(name="workspace")
def _workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def _holding(workspace: Workspace) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(workspace.root)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_device_is_leased_by_one_at_a_time(workspace: Workspace) -> None:
    """While another process has a device, its name for what it does is told, and the other devices are free."""
    child = _holding(workspace)
    try:
        assert lease.holder(workspace, "cpu") == "training robin-1"
        assert lease.holder(workspace, "cuda:0") == ""
        with (
            pytest.raises(Busy, match="cpu is in use: training robin-1"),
            lease.hold(workspace, ("cpu",), what="us", wait_sec=0),
        ):
            pass
        with lease.hold(workspace, ("cuda:0",), what="us", wait_sec=0):
            assert lease.holder(workspace, "cuda:0") == "us"
    finally:
        child.kill()
        child.wait()


def test_a_lease_ends_with_its_holder(workspace: Workspace) -> None:
    """After a kill -9 the device is free; nobody has to tidy up."""
    child = _holding(workspace)
    child.kill()
    child.wait()
    assert lease.holder(workspace, "cpu") == ""
    with lease.hold(workspace, ("cpu",), what="us", wait_sec=0):
        pass


def test_who_waits_says_for_whom_and_goes_on_when_it_is_free(workspace: Workspace) -> None:
    """Waiting is told once in a sentence, and ends when the holder does."""
    child = _holding(workspace)
    told: list[str] = []

    def say(sentence: str) -> None:
        told.append(sentence)
        child.kill()

    with lease.hold(workspace, ("cpu",), what="us", wait_sec=20, on_wait=say):
        assert lease.holder(workspace, "cpu") == "us"
    assert told == ["Waits for cpu: training robin-1"]
    child.wait()


def test_a_holder_tells_anew_what_it_does(workspace: Workspace) -> None:
    """Whoever waits reads the newest sentence, of every device that is held."""
    with lease.hold(workspace, ("cuda:0", "cuda:1"), what="training robin-1") as tell:
        tell("training robin-1, paused")
        assert {lease.holder(workspace, name) for name in ("cuda:0", "cuda:1")} == {"training robin-1, paused"}
        with pytest.raises(Busy, match="robin-1, paused"), lease.hold(workspace, ("cuda:1",), what="us", wait_sec=0):
            pass


def test_waiting_can_be_given_up(workspace: Workspace) -> None:
    """What `give_up` raises ends the waiting, with nothing held."""

    class Enough(Exception):
        pass

    def give_up() -> None:
        raise Enough

    with lease.hold(workspace, ("cuda:1",), what="them"):
        with pytest.raises(Enough), lease.hold(workspace, ("cuda:0", "cuda:1"), what="us", give_up=give_up):
            pass
        assert lease.holder(workspace, "cuda:0") == ""


def test_two_who_want_the_same_devices_never_wait_for_one_another(workspace: Workspace) -> None:
    """Devices are taken in one order, whatever order they are asked for in."""
    done = []

    def work(names: tuple[str, ...]) -> None:
        for _ in range(5):
            with lease.hold(workspace, names, what="work", wait_sec=30):
                done.append(names)

    threads = [threading.Thread(target=work, args=(names,)) for names in (("cuda:0", "cuda:1"), ("cuda:1", "cuda:0"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 10


@pytest.mark.parametrize(
    ("device", "processes", "expected"),
    [
        ("cpu", 1, ("cpu",)),
        ("cpu", 2, ("cpu",)),
        ("cuda", 1, ("cuda:0",)),
        ("cuda:1", 1, ("cuda:1",)),
        ("cuda:0", 3, ("cuda:0", "cuda:1", "cuda:2")),
    ],
)
def test_a_run_leases_what_it_computes_on(device: str, processes: int, expected: tuple[str, ...]) -> None:
    """Several processes need a card each; on the CPU they share it."""
    assert lease.devices(RunConfig(device=device, processes=processes)) == expected
