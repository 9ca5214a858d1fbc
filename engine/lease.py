"""One lease a device: a training or the app's rendering has it, the other one waits and can say for whom.

Knows a lock file per device in the workspace. A trainer holds its lease as long as it lives, the app while it renders;
the operating system ends a lease with its holder. Knows nothing of queues and of what is computed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engine import device, locks
from engine.types import Busy, RunConfig
from engine.workspace import Workspace

POLL_SEC = 0.2
LOOK_SEC = 1.0  # who only looks whether a device is free holds its lock for a moment, and says no name
FOR_EVER = float("inf")
WAITS = "Waits for "  # how the sentence of somebody who waits begins


def devices(config: RunConfig) -> tuple[str, ...]:
    """The devices that a run needs: one, or for several processes as many GPUs; processes on the CPU share it."""
    first = device.resolve(config.device)
    kind, _, number = first.partition(":")
    if kind != "cuda" or config.processes == 1:
        return (first,)
    begin = int(number or 0)
    return tuple(f"cuda:{n}" for n in range(begin, begin + config.processes))


def holder(workspace: Workspace, name: str) -> str:
    """What the holder of a device is doing ("training robin-1", "rendering"), as it told last; empty while the device
    is free.
    """
    path = _path(workspace, name)
    if not locks.is_held(path):
        return ""
    try:
        return str(json.loads(path.with_name(path.name + ".holder").read_text(encoding="utf-8"))["what"])
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # it has the lock and has not said yet what for


@contextmanager
def hold(
    workspace: Workspace,
    names: Sequence[str],
    *,
    what: str,
    wait_sec: float = FOR_EVER,
    on_wait: Callable[[str], None] | None = None,
    give_up: Callable[[], None] | None = None,
) -> Iterator[Callable[[str], None]]:
    """Lease some devices for the block, waiting for each at most `wait_sec`; raises Busy naming who has it. Yields what
    tells anew what they are held for.

    `on_wait` is told the sentence to show, once for every holder that is waited for; `give_up` is called while waiting
    and may raise. Devices are taken in the order of their names, so that two holders never wait for one another.
    """
    with ExitStack() as stack:
        telling = [_wait(workspace, name, what, stack, wait_sec, on_wait, give_up) for name in sorted(set(names))]

        def tell(what: str) -> None:
            for each in telling:
                each(what)

        yield tell


def _wait(
    workspace: Workspace,
    name: str,
    what: str,
    stack: ExitStack,
    wait_sec: float,
    on_wait: Callable[[str], None] | None,
    give_up: Callable[[], None] | None,
) -> Callable[[str], None]:
    end = time.monotonic() + wait_sec
    told = ""
    while True:
        try:
            return stack.enter_context(locks.hold(_path(workspace, name), what=what))
        except Busy:
            who = holder(workspace, name)
        if time.monotonic() > end + (0.0 if who else LOOK_SEC):
            raise Busy(f"{name} is in use: {who or 'another process'}. Try again when that is done, or stop it.")
        if who and who != told and on_wait is not None:
            on_wait(f"{WAITS}{name}: {who}")
            told = who
        if give_up is not None:
            give_up()
        time.sleep(POLL_SEC)


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.leases / f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}.lock"
