"""How a page's events reach its handlers: every one private, faults shown in one place, nothing in Gradio's public
interface.

Knows Gradio's events and the engine's errors. A handler raises what the engine raised; here it becomes a message.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import gradio as gr
from gradio.context import Context

from engine.types import EngineError

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)

SHOWN_SEC = 12


class Newest:
    """The newest thing that a tab asked for one part of a page. What was asked before it needs no answer any more."""

    def __init__(self) -> None:
        self._turn = -1

    def asked(self, turn: int) -> None:
        """Askings are numbered by the page."""
        self._turn = max(self._turn, turn)

    def unless_late(self, turn: int, answer: object) -> object:
        """The answer to an asking, or nothing to draw when something newer was asked meanwhile."""
        return answer if turn >= self._turn else gr.skip()


def told(handler: Callable[P, R]) -> Callable[P, R]:
    """The handler, with what the engine refuses shown as a message that a person can act on."""

    @functools.wraps(handler)
    def shown(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except EngineError as error:
            raise gr.Error(str(error), title="Not done", duration=SHOWN_SEC, print_exception=False) from error
        except Exception as error:
            log.exception("a handler failed")
            raise gr.Error(
                f"This should not have happened: {type(error).__name__}: {error}",
                title="A fault",
                duration=None,
                print_exception=False,
            ) from error

    return shown


def on(
    event: Callable[..., Any] | Sequence[Callable[..., Any]],
    handler: Callable[..., Any],
    *,
    inputs: Any = None,
    outputs: Any = None,
    long: bool = False,
    latest: bool = False,
    each: bool = False,
    at_once: bool = False,
    name: str = "",
) -> Any:
    """Bind a handler. `long` work waits for others of its kind and shows that it runs; all else never waits.

    All of it goes through Gradio's queue, since a page shows no message of what does not: neither what was refused nor
    what was done. `at_once` leaves the queue out, for what opens a page.

    What happens while the handler works is dropped: a second press of a button is no second act. With `latest` it is
    called once more afterwards, with the inputs as they are then but the data of the first event: for what is chosen.
    With `each` all that happens is handled at once: for events with data of their own, beside a `Newest`.
    """
    shared = {
        "inputs": inputs,
        "outputs": outputs,
        "api_visibility": "private",
        "api_name": name or handler.__name__.strip("_"),
        "queue": not at_once,
        "concurrency_limit": 1 if long else None,
        "show_progress": "minimal" if long else "hidden",
        "trigger_mode": "always_last" if latest else "multiple" if each else None,
    }
    if isinstance(event, Sequence):
        return gr.on(list(event), told(handler), **shared)
    return event(told(handler), **shared)


def on_open(handler: Callable[..., Any], *, outputs: Any, name: str, inputs: Any = None) -> None:
    """Bind what happens when somebody opens the page that is being built."""
    page = Context.root_block
    if page is None:
        raise RuntimeError("a page is built inside a Blocks")
    on(page.load, handler, inputs=inputs, outputs=outputs, name=name, at_once=True)
