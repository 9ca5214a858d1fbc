"""The other processes of a training that is shared: started by the one that holds the run's lock, gone when it is.

Knows how processes find one another (torchrun's variables, which accelerate reads too) and how a follower notices that
its leader died: the pipe between them ends. A training that somebody else started as several processes, by torchrun or
`accelerate launch`, is joined as it is.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from errno import ENOMEM
from pathlib import Path

from engine.train import faults
from engine.train.world import Alone, Together, World
from engine.types import BadInput, EngineError, RunConfig

log = logging.getLogger(__name__)

RANK, SIZE = "RANK", "WORLD_SIZE"
LEADER = "EARMARK_LEADER"  # set for followers that a leader started: their standard input is the pipe to it
GOODBYE_SEC = 10.0


class FollowerEnded(EngineError):
    """One of the processes that share the run is gone, so no step can be finished."""


def rank() -> int:
    """Which of a training's processes this is, as its environment says."""
    return int(os.environ.get(RANK, "0"))


@contextmanager
def sharing(run_dir: Path, config: RunConfig) -> Iterator[World]:
    """The world of a run's leader: alone, or with followers that are started here and ended with the block.

    Raises FollowerEnded when one of them fails, MemoryError when it ran out of memory.
    """
    if config.processes == 1:
        yield Alone()
    elif SIZE in os.environ:
        yield from _joined(config)
    else:
        with _variables(_addresses(config, 0)):
            followers = [_start(run_dir, config, number) for number in range(1, config.processes)]
            try:
                yield from _joined(config)
            except BaseException as error:
                _explain(followers, error)
                raise
            finally:
                _end(followers)


@contextmanager
def following(config: RunConfig) -> Iterator[World]:
    """The world of a process that follows: it ends when its leader does and leaves signals to it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if os.environ.get(LEADER):
        threading.Thread(target=_end_with_leader, name="leader", daemon=True).start()
    yield from _joined(config)


def exit_status(error: BaseException) -> int:
    """What a follower's exit tells its leader about an error."""
    return ENOMEM if faults.is_out_of_memory(error) else 1


def _joined(config: RunConfig) -> Iterator[World]:
    if int(os.environ[SIZE]) != config.processes:
        raise BadInput(
            f"The run is for {config.processes} processes and {os.environ[SIZE]} were started; start as many."
        )
    import torch

    if cores := os.cpu_count():
        torch.set_num_threads(max(1, min(torch.get_num_threads(), cores // config.processes)))
    world = Together(on_cpu=config.device == "cpu" or not torch.cuda.is_available())
    try:
        yield world
    finally:
        world.leave()


def _addresses(config: RunConfig, number: int) -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = os.environ.get("MASTER_PORT") or str(probe.getsockname()[1])
    size = str(config.processes)
    return {
        RANK: str(number),
        "LOCAL_RANK": str(number),
        SIZE: size,
        "LOCAL_WORLD_SIZE": size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for the block: that is where torch looks for its neighbours."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start(run_dir: Path, config: RunConfig, number: int) -> subprocess.Popen[bytes]:
    """A follower of this process, in its group, its output where this one's goes."""
    environment = {**os.environ, **_addresses(config, number), LEADER: str(os.getpid())}
    command = [sys.executable, "-m", "engine.train", str(run_dir)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)


def _explain(followers: list[subprocess.Popen[bytes]], error: BaseException) -> None:
    """Say which follower was the cause, where one was: the leader only sees that it stopped answering."""
    for number, follower in enumerate(followers, start=1):
        with suppress(subprocess.TimeoutExpired):
            if isinstance(error, RuntimeError) and (status := follower.wait(timeout=1.0)):
                if status == ENOMEM:
                    raise MemoryError(f"process {number} had no memory left") from error
                raise FollowerEnded(
                    f"Process {number} of {len(followers) + 1} ended with status {status}; its last words are in "
                    "train.log. Resume goes on from the last checkpoint."
                ) from error


def _end(followers: list[subprocess.Popen[bytes]]) -> None:
    """They end by themselves after the last step; what still runs follows nobody any more."""
    for follower in followers:
        try:
            follower.wait(timeout=GOODBYE_SEC)
        except subprocess.TimeoutExpired:
            log.warning("follower %d is ended", follower.pid)
            follower.kill()
            follower.wait()


def _end_with_leader() -> None:
    sys.stdin.buffer.read()  # nobody writes; it returns when the leader is gone
    os._exit(1)
