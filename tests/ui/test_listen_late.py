"""The Listen page while answers are on their way: what comes late never touches another trial, and no note is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.ui import sitting
from tests.ui.fake_studio import FakeStudio
from tests.ui.held_back import HeldBack
from tests.ui.sitting import FIRST, OPEN_ANSWERS, OPEN_PADS, answers, hear_all, open_sitting

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

NOTE = "[data-note] textarea"


@pytest.fixture(name="quick")
def _quick(page: Page) -> Page:
    sitting.short_clips(page.context)
    return page


def write_note(page: Page, text: str) -> None:
    page.keyboard.press("n")
    page.fill(NOTE, text)
    page.keyboard.press("Escape")


def test_what_sets_the_volume_never_plays_in_a_trial(judged: FakeStudio, address: str, quick: Page) -> None:
    """The sound and the tones of the first page that come after the first trial began are let go of."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    level, phones = HeldBack(quick, "/blind/level", on=True), HeldBack(quick, "/blind/headphones", on=True)
    quick.goto(f"{address}/listen/?session={session.id}")
    quick.click("[data-act=level]")
    level.wait(1)
    quick.click("[data-act=phones]")
    phones.wait(1)
    quick.click("[data-act=begin]")
    quick.wait_for_selector(OPEN_PADS)
    level.let_go()
    phones.let_go()
    assert quick.locator("[data-side][aria-pressed=false]").count() == 1, "the trial is there and does not sound"
    hear_all(quick)
    quick.keyboard.press("p")
    quick.wait_for_selector("text=2 of 3")
    (kept,) = answers(judged, session)
    assert "heard" in {name for _, name, _, _ in kept.events}


def test_a_break_before_a_trial_can_be_heard(judged: FakeStudio, address: str, quick: Page) -> None:
    """Sounds that come during a break are there after it."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    sounds = HeldBack(quick, "/blind/audio/", on=True)
    quick.goto(f"{address}/listen/?session={session.id}")
    quick.wait_for_selector("[data-act=begin]")
    quick.keyboard.press("Enter")
    quick.wait_for_selector("text=1 of 3")
    quick.keyboard.press("b")
    quick.wait_for_selector("text=0 of 3 answered")
    sounds.wait(1)
    sounds.on = False
    sounds.let_go()
    assert quick.locator("[data-side]").count() == 0
    quick.keyboard.press("Enter")
    quick.wait_for_selector(OPEN_PADS)


def test_an_answer_on_its_way_is_sent_once_and_closes_the_note(judged: FakeStudio, address: str, quick: Page) -> None:
    """Until the server has it nothing more can be said of the trial, and nothing else is asked for."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    sent = HeldBack(quick, "/blind/answer", on=True)
    open_sitting(quick, address, session)
    hear_all(quick)
    write_note(quick, "a cough")
    quick.wait_for_selector(OPEN_ANSWERS)
    for key in ("p", "f", "u", "b"):
        quick.keyboard.press(key)
    sent.wait(1)
    quick.wait_for_function("document.querySelector('[data-note] textarea').readOnly")
    assert len(sent.routes) == 1
    sent.let_go()
    quick.wait_for_selector("text=2 of 3")
    assert [(str(r.choice), r.note) for r in answers(judged, session)] == [("pass", "a cough")]


def test_taking_back_is_done_once_and_keeps_what_was_noted(judged: FakeStudio, address: str, quick: Page) -> None:
    """While the last answer is taken back the trial after it is not answered; its note and reasons wait for it."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    back = HeldBack(quick, "/blind/withdraw", on=True)
    open_sitting(quick, address, session)
    hear_all(quick)
    quick.keyboard.press("p")
    quick.wait_for_selector("text=2 of 3")
    quick.wait_for_selector(OPEN_PADS)
    hear_all(quick)
    quick.keyboard.press("Shift+Digit1")
    write_note(quick, "a click near the end")
    quick.wait_for_selector(OPEN_ANSWERS)
    for key in ("u", "u", "p"):
        quick.keyboard.press(key)
    back.wait(1)
    back.let_go()
    quick.wait_for_selector("text=1 of 3")
    assert len(back.routes) == 1
    assert answers(judged, session) == []
    quick.wait_for_selector(OPEN_PADS)
    hear_all(quick)
    quick.keyboard.press("f")
    quick.wait_for_selector("text=2 of 3")
    assert quick.input_value(NOTE) == "a click near the end"
    assert quick.locator("[data-reason][aria-pressed=true]").count() == 1


def test_a_trial_that_comes_late_does_not_replace_the_one_that_is_there(
    judged: FakeStudio, address: str, quick: Page
) -> None:
    """After a refusal the note is still there; of two trials that were asked for, the last is shown and stays."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    asked = HeldBack(quick, "/blind/trial")
    refusals: list[Any] = []

    def refuse(route: Any) -> None:
        refusals.append(route)
        route.fulfill(status=409, json={"error": "Not now."})

    quick.route("**/blind/answer", refuse)
    open_sitting(quick, address, session)
    hear_all(quick)
    write_note(quick, "a cough")
    quick.wait_for_selector(OPEN_ANSWERS)
    quick.keyboard.press("p")
    quick.wait_for_selector("[role=alert]:has-text('Not now.')")
    asked.on = True
    quick.click("[data-act=again]")
    quick.click("[data-act=again]")
    asked.wait(2)
    asked.let_go(1)
    quick.wait_for_selector(OPEN_PADS)
    assert quick.input_value(NOTE) == "a cough"
    quick.fill(NOTE, "a cough, and a")
    asked.let_go(0)
    assert quick.evaluate("document.activeElement.tagName") == "TEXTAREA"
    quick.keyboard.type(" click")
    assert quick.input_value(NOTE) == "a cough, and a click"
