"""Leaving a batch in its middle: a voice that tells its steps is told to stop at the next one.

Knows the steps of a model and not what is spoken. A voice that tells none ends its batch first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from engine.backends.offers import TellsSteps


class GaveUp(Exception):
    """A batch was left between two steps."""


@contextmanager
def when(cancelled: Callable[[], bool], model: object) -> Iterator[None]:
    """Inside, `model` raises `GaveUp` at the first step at which `cancelled` is true; afterwards it is as it was."""
    if not isinstance(model, TellsSteps):
        yield
        return

    def on_step(done: int, most: int) -> None:
        if cancelled():
            raise GaveUp

    before, model.on_step = model.on_step, on_step
    try:
        yield
    finally:
        model.on_step = before
