"""How handlers are bound and how their faults are shown."""

from __future__ import annotations

import gradio as gr
import pytest

from engine.types import DiskFull
from ui import events


def test_what_the_engine_refuses_is_shown_in_its_own_words() -> None:
    """One place turns an engine error into a message; the sentence is the engine's."""

    def handler() -> None:
        raise DiskFull("There are 3 MB left and 40 MB are needed; free some space.")

    with pytest.raises(gr.Error) as caught:
        events.told(handler)()
    assert caught.value.message == "There are 3 MB left and 40 MB are needed; free some space."


def test_a_fault_is_named_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is neither swallowed nor a bare trace on the page."""

    def handler() -> None:
        raise ZeroDivisionError("by zero")

    with pytest.raises(gr.Error, match="ZeroDivisionError: by zero"):
        events.told(handler)()
    assert "a handler failed" in caplog.text


def test_an_event_is_private_and_short_work_is_not_queued() -> None:
    """No handler is part of Gradio's public interface; only long work waits in the queue."""
    with gr.Blocks(analytics_enabled=False) as blocks:
        button = gr.Button()
        events.on(button.click, lambda: None, name="short")
        events.on(button.click, lambda: None, name="long", long=True)
    quick, slow = blocks.fns.values()
    assert [(f.api_name, f.api_visibility, f.queue) for f in (quick, slow)] == [
        ("short", "private", False),
        ("long", "private", True),
    ]


def test_a_page_is_built_inside_blocks() -> None:
    """Binding the opening of a page outside of one is a programmer's fault, said at once."""
    with pytest.raises(RuntimeError, match="inside a Blocks"):
        events.on_open(lambda: None, outputs=[], name="open")
