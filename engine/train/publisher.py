"""Saves in the background: training waits for the copy to memory and not for the disk.

Knows that one save is in flight at most, that its errors come back to the training, and that the end waits for it.
Knows nothing of checkpoints; a save is a function.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from engine.types import DiskFull

log = logging.getLogger(__name__)


class Publisher:
    """Use it as a context manager: leaving waits for the save in flight, whatever ended the block."""

    def __init__(self, make_room: Callable[[DiskFull], None]) -> None:
        """`make_room` is called, in the training's thread, when a save found the disk full; then it is done again."""
        self._make_room = make_room
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="publish")
        self._save: Callable[[], None] | None = None
        self._flight: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.wait()
            elif self._flight is not None and (error := self._flight.exception()):
                log.error("the last save failed as well: %s", error)
        finally:
            self._pool.shutdown()

    @property
    def busy(self) -> bool:
        """Whether a save is in flight."""
        return self._flight is not None and not self._flight.done()

    def submit(self, save: Callable[[], None]) -> None:
        """Do a save in the background, after the one in flight. Raises what that one raised."""
        self.wait()
        self._save = save
        self._flight = self._pool.submit(save)

    def look(self) -> None:
        """Raise what a finished save raised; returns at once while one is in flight."""
        if self._flight is not None and self._flight.done():
            self.wait()

    def wait(self) -> None:
        """Wait for the save in flight, doing it again as often as it needs room. Raises what it raised otherwise."""
        while self._flight is not None and self._save is not None:
            try:
                self._flight.result()
            except DiskFull as error:
                self._make_room(error)
                self._flight = self._pool.submit(self._save)
            else:
                self._flight = self._save = None
