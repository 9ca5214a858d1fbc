"""The Tests page in a browser: a test is planned, opened, tried and ended; a reviewer is invited and let in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.ui.conftest import served
from tests.ui.fake_studio import FakeStudio
from tests.ui.test_blind_routes import EVERYBODY, rendered
from ui import view_tests
from ui.access import Access

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(name="studio", scope="module")
def _studio(tmp_path_factory: pytest.TempPathFactory) -> FakeStudio:
    return rendered(tmp_path_factory.mktemp("tests-page"))


@pytest.fixture(name="at", scope="module")
def _at(studio: FakeStudio) -> Iterator[str]:
    from ui import pages

    access = Access(host="127.0.0.1", guest=studio.guest)
    with served(pages.app(studio), access) as address:  # type: ignore[arg-type]
        yield address


def write(page: Page, name: str, text: str) -> None:
    page.fill(f"#{name} textarea, #{name} input", text)


def test_a_test_is_planned_opened_and_tried(page: Page, at: str, studio: FakeStudio) -> None:
    """Candidates come with the address; what it asks is said before it opens; the card counts and tells no answer."""
    page.goto(f"{at}/tests?" + urlencode({"candidates": ",".join(c.id for c in EVERYBODY), "kind": "cmos"}))
    page.get_by_text("base (").first.wait_for()
    write(page, "person", "Ed")
    write(page, "test-name", "which epoch")
    write(page, "test-reviewers", "Ana, Ben")
    page.click("#test-outline")
    page.get_by_text("for each of 2 reviewers").wait_for()
    assert studio.tests() == []
    page.click("#test-make")
    page.locator("[data-test]").wait_for()
    (state,) = studio.tests()
    assert (state.test.kind, state.test.reviewers, state.test.created_by) == ("cmos", ("Ana", "Ben"), "Ed")
    assert state.test.candidates == EVERYBODY
    card = page.locator("[data-test]").inner_text()
    assert "which epoch" in card
    assert f"0 of {state.total} answers" in card


def test_an_invited_reviewer_comes_in_by_the_link(page: Page, at: str, studio: FakeStudio, browser: Browser) -> None:
    """The link is shown once; in another browser it opens Listen, and no longer once it is revoked."""
    page.goto(f"{at}/tests")
    page.locator("#invite-name").wait_for()
    write(page, "person", "Ed")
    write(page, "invite-name", "Ana")
    page.click("#invite")
    link = page.locator("[data-invite]").get_attribute("data-invite")
    assert link is not None
    other = browser.new_context()
    guest = other.new_page()
    guest.goto(at + link)
    assert guest.url == f"{at}/listen/"
    assert guest.evaluate("fetch('/blind/sittings').then((r) => r.json()).then((r) => r.reviewer)") == "Ana"
    studio.revoke(studio.invitations()[0].id, by="Ed")
    assert guest.goto(at + link).status == 401  # type: ignore[union-attr]
    other.close()


def test_a_double_click_is_one_act(page: Page, at: str, studio: FakeStudio) -> None:
    """However fast the first click is answered, the second one of a pair makes no second invitation."""
    page.goto(f"{at}/tests")
    page.locator("#invite-name").wait_for()
    write(page, "person", "Ed")
    write(page, "invite-name", "Cleo")
    page.click("#invite")
    page.locator("[data-invite]").wait_for()
    page.locator("#invite").dispatch_event("click", {"detail": 2})
    page.wait_for_timeout(500)
    assert [invitation.reviewer for invitation in studio.invitations()].count("Cleo") == 1


def test_the_page_fits_a_telephone(browser: Browser, at: str) -> None:
    """Nothing lies beyond the edge at 390 pixels."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{at}/tests")
    page.locator("#test-make").wait_for()
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


def test_names_of_people_are_escaped(studio: FakeStudio) -> None:
    """What somebody writes as a name is text."""
    new = studio.invite("<b>Eve</b>", by="<i>Ed</i>")
    told = view_tests.invited(new) + view_tests.invitations([(new.invitation, "valid")])
    assert "<b>" not in told
    assert "<i>" not in told
