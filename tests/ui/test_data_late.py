"""The Data page while answers are on their way: what is typed stays, and an act goes to what was shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from engine.jobs import Report
from engine.types import Action
from engine.workspace import Workspace
from tests.ui.conftest import served
from tests.ui.fake_studio import FakeStudio
from tests.ui.held_back import HeldBack
from tests.ui.test_data_page import audited, opened, rows_of
from tests.ui.watched import wait_until
from ui import pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

GO_TO = """query => {
  history.pushState(null, "", query);
  dispatchEvent(new PopStateEvent("popstate"));
}"""


@pytest.fixture(name="held", scope="module")
def _held(tmp_path_factory: pytest.TempPathFactory) -> FakeStudio:
    return FakeStudio(Workspace(tmp_path_factory.mktemp("desk")))


@pytest.fixture(name="at", scope="module")
def _at(held: FakeStudio) -> Iterator[str]:
    with served(pages.app(held)) as address:  # type: ignore[arg-type]
        yield address


def test_a_text_that_cannot_be_kept_is_not_left(page: Page, held: FakeStudio, at: str) -> None:
    """Without a server nobody leaves the row under which they typed; the page says why, and later the text is kept."""
    draft = audited(held)
    page.route("**/text", lambda route: route.fulfill(status=507, json={"error": "The disk is full."}))
    opened(page, at, draft, "&everything=1&order=source&row=r030")
    page.wait_for_selector("[data-card=r030]")
    page.get_by_label("Text", exact=True).fill("Typed in vain?")
    page.get_by_role("link", name="All data").click()
    page.wait_for_selector(".em-toast:has-text('The disk is full.')")
    assert page.get_by_label("Text", exact=True).input_value() == "Typed in vain?"
    assert f"draft={draft}" in page.url
    page.unroute("**/text")
    page.get_by_role("link", name="All data").click()
    page.wait_for_selector("[data-form=open]")
    assert held.decisions(draft)["r030"][0].text == "Typed in vain?"


def test_an_act_goes_to_the_draft_that_is_shown(page: Page, held: FakeStudio, at: str) -> None:
    """What is decided while another draft is on its way is decided about the row that was pressed."""
    shown, other = audited(held), audited(held)
    drafts = HeldBack(page, f"/desk/drafts/{other}$", on=True)
    opened(page, at, shown, "&everything=1&order=source&row=r030")
    page.wait_for_selector("[data-card=r030]")
    page.evaluate(GO_TO, f"?draft={other}")
    drafts.wait(1)
    page.locator("[data-card-act=drop]").click()
    wait_until(page, lambda: "r030" in held.decisions(shown))
    drafts.on = False
    drafts.let_go()
    page.wait_for_selector("[data-card]", state="detached")
    assert held.decisions(shown)["r030"][0].action is Action.DROP
    assert held.decisions(other) == {}


def test_a_view_that_comes_late_does_not_replace_the_one_that_is_open(page: Page, held: FakeStudio, at: str) -> None:
    """The form of a preparation that was asked for first does not appear among the rows."""
    forms = HeldBack(page, "/prepare$", on=True)
    opened(page, at, audited(held))
    page.get_by_role("tab", name="Prepare").click()
    forms.wait(1)
    page.get_by_role("tab", name="Rows").click()
    page.wait_for_selector("#desk-tab-rows[aria-selected=true]")
    forms.let_go()
    assert page.locator("[data-form=prepare]").count() == 0
    assert rows_of(page)


def test_a_preparation_that_is_being_filled_in_outlives_an_audit(page: Page, held: FakeStudio, at: str) -> None:
    """A job that ends draws the page anew around what somebody is writing."""
    go_on: list[bool] = []

    def hold(report: Report) -> None:
        while not go_on:
            time.sleep(0.01)

    opened(page, at, audited(held), "&tab=prepare")
    held.hold = hold
    try:
        page.get_by_role("button", name="Audit again").click()
        page.wait_for_selector(".em-jobline")
        page.locator("[data-form=prepare] [name=name]").fill("gentle")
        go_on.append(True)
        page.wait_for_selector(".em-jobline", state="detached")
    finally:
        go_on.append(True)
        held.hold = lambda report: None
    page.wait_for_function("document.querySelector('[data-live]').textContent === 'Done.'")
    page.keyboard.type(" voice")
    assert page.locator("[data-form=prepare] [name=name]").input_value() == "gentle voice"


def test_a_path_that_is_being_typed_outlives_a_discarded_draft(page: Page, held: FakeStudio, at: str) -> None:
    """The first page is drawn anew around its form."""
    draft = audited(held)
    page.goto(at)
    page.get_by_label("Path").fill("/data/wren")
    page.locator(f"[data-draft='{draft}']").click()
    page.wait_for_selector("text=Really discard")
    page.locator(f"[data-draft='{draft}']").click()
    page.wait_for_selector("text=The source is as it was")
    assert page.get_by_label("Path").input_value() == "/data/wren"


def test_a_playing_row_plays_on_while_it_is_decided(page: Page, held: FakeStudio, at: str) -> None:
    """The card that comes with the decision is the same row: its sound is not cut off."""
    draft = audited(held)
    opened(page, at, draft, "&everything=1&order=source&row=r030")
    page.wait_for_selector("[data-card=r030]")
    page.locator(".em-play").click()
    page.wait_for_selector(".em-play[aria-pressed=true]")
    page.evaluate("() => { HTMLMediaElement.prototype.pause = () => { window.paused = true; }; }")
    page.locator("[data-card-act=drop]").click()
    page.wait_for_selector("[data-card-act=take_back]")
    page.wait_for_timeout(100)
    assert page.evaluate("window.paused ?? false") is False
