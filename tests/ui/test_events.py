"""How handlers are bound and how their faults are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
import pytest

from engine.types import DiskFull
from ui import events

if TYPE_CHECKING:
    from playwright.sync_api import Page


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


def test_an_event_is_private_and_short_work_does_not_wait() -> None:
    """No handler is part of Gradio's public interface. All are queued, or no message would be shown; only long work
    waits there.
    """
    with gr.Blocks(analytics_enabled=False) as blocks:
        button = gr.Button()
        events.on(button.click, lambda: None, name="short")
        events.on(button.click, lambda: None, name="long", long=True)
    quick, slow = blocks.fns.values()
    assert [(f.api_name, f.api_visibility, f.queue, f.concurrency_limit) for f in (quick, slow)] == [
        ("short", "private", True, None),
        ("long", "private", True, 1),
    ]


@pytest.mark.browser
def test_what_is_refused_is_seen_on_the_page(page: Page, address: str) -> None:
    """A sentence that nobody sees is no message: it stands on the page, whatever Gradio does with it."""
    page.goto(f"{address}/gate")
    page.wait_for_selector(".em-matrix")
    page.click("#judge")
    page.wait_for_selector(".toast-body:has-text('Write your name first')")


def test_a_page_is_built_inside_blocks() -> None:
    """Binding the opening of a page outside of one is a programmer's fault, said at once."""
    with pytest.raises(RuntimeError, match="inside a Blocks"):
        events.on_open(lambda: None, outputs=[], name="open")
