"""The Listen page in a real browser: by keyboard, by thumb, blind, and safe against reloads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from engine.types import Candidate, Session
from tests.ui.conftest import PAGE_WITHIN_MS, served
from tests.ui.fake_studio import RUN_ID, VOICE, FakeStudio

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

pytestmark = pytest.mark.browser

FIRST = Candidate(backend="finch", voice=VOICE, checkpoint_id=f"{RUN_ID}@000080", lora_scale=0.5)
SECOND = Candidate(backend="finch", voice=VOICE, checkpoint_id=f"{RUN_ID}@000200", lora_scale=1.0)
IDENTIFYING = re.compile(
    r"robin|finch|aoede|@0000|checkpoint|\blora|epoch|/clips/|\.flac|https?://(?!127\.0\.0\.1)", re.I
)
OPEN_PADS = ".em-pad:not([disabled])"
OPEN_ANSWERS = "[data-choice]:not([disabled])"


def open_sitting(page: Page, address: str, session: Session) -> None:
    page.goto(f"{address}/listen/?session={session.id}")
    page.wait_for_selector(OPEN_PADS)


def answers(studio: FakeStudio, session: Session) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(r.choice), r.reasons) for r in studio._responses.values() if r.session_id == session.id]


def test_a_gate_sitting_by_keyboard_alone(judged: FakeStudio, address: str, page: Page) -> None:
    """Space hears the clip, shift and a digit gives a reason, F and P answer; each is kept before the next trial."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(page, address, session)
    page.keyboard.press("f")
    assert answers(judged, session) == [], "an answer before listening counts for nothing"
    for position, key in ((1, "f"), (2, "p"), (3, "p")):
        page.wait_for_selector(f"text={position} of 3")
        page.wait_for_selector(OPEN_PADS)
        page.keyboard.press(" ")
        page.wait_for_selector(OPEN_ANSWERS)
        if key == "f":
            page.keyboard.press("Shift+Digit2")
        page.keyboard.press(key)
    page.wait_for_selector("text=That was all 3")
    assert answers(judged, session) == [("fail", ("merged word",)), ("pass", ()), ("pass", ())]


def test_an_ab_sitting_by_keyboard_and_a_reload(judged: FakeStudio, address: str, page: Page) -> None:
    """Both sides must be heard; the arrows answer; a reload comes back to the same trial with the same tokens."""
    session = judged.open_preference_session([(FIRST, SECOND)], reviewer="Ana")
    open_sitting(page, address, session)
    before = judged.next_trial(session.id)
    page.keyboard.press("1")
    page.wait_for_selector("[data-side='0'] >> text=heard")
    assert page.locator(OPEN_ANSWERS).count() == 0, "one side alone is not enough"
    page.reload()
    page.wait_for_selector(OPEN_PADS)
    assert judged.next_trial(session.id) == before
    page.keyboard.press("1")
    page.wait_for_selector("[data-side='0'] [data-told]:text-is('heard')")
    page.keyboard.press("2")
    page.wait_for_selector(OPEN_ANSWERS)
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("text=2 of 3")
    assert answers(judged, session) == [("tie", ())]
    (kept,) = (r for r in judged._responses.values() if r.session_id == session.id)
    assert all(kept.plays[label] >= 1 for label in "AB")


def test_nothing_on_the_page_or_the_wire_names_what_is_heard(judged: FakeStudio, address: str, page: Page) -> None:
    """Markup, addresses, bodies, headers and console of a whole trial hold no model, run, checkpoint, scale or file."""
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("request", lambda request: seen.append(f"{request.url} {request.post_data or ''}"))
    finished: list[Request] = []  # one whose body the page does not read never finishes, and cannot be read here either
    page.on("requestfinished", lambda request: finished.append(request))
    session = judged.open_gate_session([SECOND], reviewer="Ana")
    open_sitting(page, address, session)
    page.keyboard.press("1")
    page.wait_for_selector(OPEN_ANSWERS)
    page.keyboard.press("p")
    page.wait_for_selector("text=2 of 3")
    answered = [response for request in finished if (response := request.response()) and "/blind/" in response.url]
    assert len(answered) > 1
    for response in answered:
        seen.append(f"{response.url} {response.headers}")
        if "json" in response.headers.get("content-type", ""):
            seen.append(response.text())
    seen.append(page.locator("main").inner_html())
    told = "\n".join(seen)
    for line in judged.script("english-brief").lines:
        told = told.replace(line.text, "")
    found = IDENTIFYING.search(told)
    assert found is None, told[max(0, found.start() - 80) : found.end() + 80] if found else ""
    assert not page.locator("nav a").count()
    assert not page.locator("audio").count()


@pytest.fixture(name="phone")
def _phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(PAGE_WITHIN_MS)
    yield page
    context.close()


def test_a_trial_fits_a_phone_and_a_thumb(judged: FakeStudio, address: str, phone: Page) -> None:
    """At 390 px nothing scrolls sideways, every button is at least 36 px high, the answers are in reach."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(phone, address, session)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    for box in (b.bounding_box() for b in phone.locator(".em-listen button:visible").all()):
        assert box is not None
        assert box["height"] >= 36
    phone.tap(".em-pad")
    phone.wait_for_selector(OPEN_ANSWERS)
    answer = phone.locator("[data-choice=pass]").bounding_box()
    assert answer is not None
    assert answer["y"] + answer["height"] <= 844
    phone.tap("[data-choice=pass]")
    phone.wait_for_selector("text=2 of 3")
    assert answers(judged, session) == [("pass", ())]


def test_a_screen_reader_hears_what_happens(judged: FakeStudio, address: str, page: Page) -> None:
    """Pads have names that say their state; what plays and when to answer is announced."""
    session = judged.open_preference_session([(FIRST, SECOND)], reviewer="Ana")
    open_sitting(page, address, session)
    assert page.get_by_role("button", name="Play B, not heard to the end yet").count() == 1
    said = page.locator("[data-listen] [aria-live=polite]")
    page.keyboard.press("2")
    page.wait_for_function("document.querySelector('[data-listen] [aria-live]').textContent.includes('Playing B')")
    page.wait_for_selector("[data-side='1'] [data-told]:text-is('heard')")
    page.keyboard.press("1")
    page.wait_for_selector(OPEN_ANSWERS)
    assert said.text_content() == "You can answer now."


def test_a_lost_server_is_said_and_no_answer_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory, page: Page
) -> None:
    """When the answer cannot be sent the page says so; trying again comes back to the same trial."""
    from tests.ui import fake_studio
    from ui import pages

    studio = fake_studio.with_everything(tmp_path_factory.mktemp("lost"))
    session = studio.open_gate_session([FIRST], reviewer="Ana")
    with served(pages.app(studio)) as address:  # type: ignore[arg-type]
        open_sitting(page, address, session)
        page.keyboard.press("1")
        page.wait_for_selector(OPEN_ANSWERS)
        page.route("**/blind/answer", lambda route: route.abort())
        page.keyboard.press("p")
        page.wait_for_selector("[role=alert]")
        page.unroute("**/blind/answer")
        page.click("[data-act=reload]")
        page.wait_for_selector("text=1 of 3")
        assert answers(studio, session) == []


def test_without_a_sitting_the_page_says_what_to_do(judged: FakeStudio, address: str, page: Page) -> None:
    """Listen without a link offers the open sittings by reviewer, and nothing about their contents."""
    judged.open_gate_session([FIRST], reviewer="Zoe")
    page.goto(f"{address}/listen/")
    page.wait_for_selector("text=Zoe: pass or fail, 0 of 3 answered")
