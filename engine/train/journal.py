"""The trainer's voice: events, their folded snapshot in `status.json`, and the heartbeat.

Knows that telling must neither lose an event nor end a training: with a full disk it waits. Knows nothing of what is
trained.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Self

from engine import durable, runs
from engine.events import EventLog
from engine.progress import Progress, Snapshot, fold
from engine.run_folder import RunFolder
from engine.types import DiskFull, Event

log = logging.getLogger(__name__)

SNAPSHOT_SEC = 1.0  # between two snapshots; a reader replays what is newer
RETRY_SEC = 1.0


class Journal:
    """The one writer of a run's events. Safe to call from several threads."""

    def __init__(self, folder: RunFolder, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._events = EventLog(folder.events, clock)
        self._progress = runs.read_progress(folder.path)
        self._guard = threading.Lock()  # keeps progress in the order of the events
        self._snapshot_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._take_snapshot()
        self._events.close()

    @property
    def progress(self) -> Progress:
        return self._progress

    def say(self, kind: str, **data: object) -> Event:
        """Append an event. Waits as long as the disk is full: an event that was said is on the disk."""
        with self._guard:
            event = self._append(kind, data)
            self._progress = fold(self._progress, event)
            if self._clock() - self._snapshot_at >= SNAPSHOT_SEC:
                self._take_snapshot()
            return event

    def _append(self, kind: str, data: dict[str, object]) -> Event:
        while True:
            try:
                return self._events.append(kind, **data)
            except DiskFull as error:
                log.warning("%s", error)
                time.sleep(RETRY_SEC)

    def _take_snapshot(self) -> None:
        snapshot = Snapshot(progress=self._progress, offset=self._events.offset)
        with suppress(OSError):  # only a short cut for readers
            durable.write_bytes(self._folder.status, snapshot.to_json().encode())
        self._snapshot_at = self._clock()


@contextmanager
def heartbeat(journal: Journal, every_sec: float) -> Iterator[None]:
    """Say "heartbeat" from a thread during the block, so that one slow step is not mistaken for a hang."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every_sec):
            journal.say("heartbeat")

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
