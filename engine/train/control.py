"""What may interrupt a training: the stop flag, a signal, a disk without room.

Signals only set a flag: a handler that saved would re-enter a save. The flag is looked at between steps and between
clips.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from engine import disk, monitors
from engine.runs import progress
from engine.runs.folder import RunFolder
from engine.train.journal import Voice


class StopRequested(Exception):
    """Somebody wants the training to end and there is nothing to save."""


class Control:
    """Asks the world between steps. `free_bytes` and `poll_sec` come from outside, so that a test can fill the disk."""

    def __init__(
        self,
        folder: RunFolder,
        journal: Voice,
        *,
        free_bytes: Callable[[Path], int] = disk.free_bytes,
        poll_sec: float = 1.0,
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._free_bytes = free_bytes
        self._poll_sec = poll_sec
        self._asked = threading.Event()
        self.tell_waiting: Callable[[str], None] = lambda _why: None
        """Told what those who wait for the run's device should read of it, "" when there is nothing to say."""

    def free_bytes(self, path: Path) -> int:
        return self._free_bytes(path)

    def stop_wanted(self) -> bool:
        """Whether somebody asked the run to save and end."""
        return self._asked.is_set() or self._folder.stop_flag.exists()

    def raise_if_stopped(self) -> None:
        """Raises StopRequested when the training should end here."""
        if self.stop_wanted():
            raise StopRequested

    def wait_for_room(self, needed_bytes: int = 0) -> None:
        """Return when `needed_bytes` and the reserve are free.

        Until then the run is paused, says so, and looks again.
        """
        if self._has_room(needed_bytes):
            return
        before = self._journal.progress
        megabytes = (needed_bytes + disk.RESERVE_BYTES) / 1e6
        self.tell_waiting(f"paused until there is room on the disk. {progress.standing_aside(before)}")
        self._journal.alert(monitors.disk(before.step, before.epoch, needed_bytes + disk.RESERVE_BYTES))
        self._journal.say(
            "note",
            state="paused",
            text=f"Paused: less than {megabytes:.0f} MB are free on the disk; make room and the training goes on.",
        )
        while not self._has_room(needed_bytes):
            self.raise_if_stopped()
            time.sleep(self._poll_sec)
        self.tell_waiting("")
        self._journal.say("note", state=before.phase, text="There is room again; going on.")

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT ask for a stop during the block.

        Does nothing outside the main thread, where Python forbids it.
        """

        def ask(signum: int, frame: FrameType | None) -> None:
            self._asked.set()

        before = {}
        with suppress(ValueError):
            for number in (signal.SIGTERM, signal.SIGINT):
                before[number] = signal.signal(number, ask)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _has_room(self, needed_bytes: int) -> bool:
        return self._free_bytes(self._folder.path) >= needed_bytes + disk.RESERVE_BYTES
