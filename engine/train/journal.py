"""The trainer's voice: events, their folded snapshot in `status.json`, the monitors' alerts, and the heartbeat.

Knows that telling must neither lose an event nor end a training: with a full disk it waits. Knows nothing of what is
trained.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Protocol, Self

from engine import durable, events, monitors, runs
from engine.events import EventLog
from engine.monitors import Watch
from engine.runs.folder import RunFolder
from engine.runs.progress import Progress, Snapshot, fold
from engine.types import Alert, DiskFull, Event

log = logging.getLogger(__name__)

SNAPSHOT_SEC = 1.0  # between two snapshots; a reader replays what is newer
RETRY_SEC = 1.0


class Voice(Protocol):
    """What the training says things to."""

    @property
    def progress(self) -> Progress: ...

    @property
    def stopping(self) -> Alert | None:
        """The alert that ends the run, when its settings say so."""
        ...

    @property
    def resting(self) -> frozenset[str]:
        """The parts that are taught no further."""
        ...

    def say(self, kind: str, **data: object) -> None: ...

    def alert(self, alert: Alert) -> None: ...


class Journal:
    """The one writer of a run's events. Safe to call from several threads."""

    def __init__(self, folder: RunFolder, clock: Callable[[], float], watch: Watch | None = None) -> None:
        """`watch` is the run's monitors before its first event; without one nothing is monitored."""
        self._folder = folder
        self._clock = clock
        self._events = EventLog(folder.events, clock)
        self._progress = runs.read_progress(folder.path)
        self._watch = monitors.follow(watch, events.read(folder.events)) if watch else None
        self._stopping: Alert | None = None
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

    @property
    def stopping(self) -> Alert | None:
        return self._stopping

    @property
    def resting(self) -> frozenset[str]:
        return monitors.resting(self._watch) if self._watch else frozenset()

    def say(self, kind: str, **data: object) -> None:
        """Append an event, and the alerts that it calls for.

        Waits as long as the disk is full: an event that was said is on the disk.
        """
        with self._guard:
            self._tell(kind, data)
            if self._clock() - self._snapshot_at >= SNAPSHOT_SEC:
                self._take_snapshot()

    def alert(self, alert: Alert) -> None:
        """Tell what was seen by other means than the events."""
        with self._guard:
            self._mark(alert)

    def _tell(self, kind: str, data: dict[str, object]) -> None:
        event = self._append(kind, data)
        self._progress = fold(self._progress, event)
        if self._watch is not None:
            self._watch = monitors.fold(self._watch, event)
            for alert in self._watch.new:
                self._mark(alert)

    def _mark(self, alert: Alert) -> None:
        log.warning("%s: %s", alert.monitor, alert.text)
        self._stopping = alert if alert.stops else self._stopping
        self._tell("alert", asdict(alert))

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


class Silence:
    """The voice of a process that follows another: whatever it says, the leader says too."""

    progress = Progress()
    stopping: Alert | None = None
    resting: frozenset[str] = frozenset()

    def say(self, kind: str, **data: object) -> None:
        pass

    def alert(self, alert: Alert) -> None:
        pass


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
