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
    at_once: bool = False,
    name: str = "",
) -> Any:
    """Bind a handler. `long` work waits for others of its kind and shows that it runs; all else never waits.

    All of it goes through Gradio's queue, since a page shows no message of what does not: neither what was refused nor
    what was done. `at_once` leaves the queue out, for what opens a page.

    `latest`: of what happens while the handler works, the last is handled afterwards and the rest is dropped.
    """
    shared = {
        "inputs": inputs,
        "outputs": outputs,
        "api_visibility": "private",
        "api_name": name or handler.__name__.strip("_"),
        "queue": not at_once,
        "concurrency_limit": 1 if long else None,
        "show_progress": "minimal" if long else "hidden",
        "trigger_mode": "always_last" if latest else None,
    }
    if isinstance(event, Sequence):
        return gr.on(list(event), told(handler), **shared)
    return event(told(handler), **shared)


def on_open(handler: Callable[..., Any], *, outputs: Any, name: str) -> None:
    """Bind what happens when somebody opens the page that is being built."""
    page = Context.root_block
    if page is None:
        raise RuntimeError("a page is built inside a Blocks")
    on(page.load, handler, outputs=outputs, name=name, at_once=True)
