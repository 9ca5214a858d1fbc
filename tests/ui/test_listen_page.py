"""The Listen page in a real browser: by keyboard, by thumb, safe against reloads, lost servers and second thoughts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from engine.types import Choice, Session, TrialKind
from tests.ui import sitting
from tests.ui.fake_studio import FakeStudio
from tests.ui.sitting import FIRST, OPEN_ANSWERS, OPEN_PADS, SECOND, answers, begin, hear_all, open_sitting
from tests.ui.watched import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(name="phone")
def _phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    sitting.short_clips(context)
    page = context.new_page()
    yield page
    context.close()


@pytest.fixture(name="quick")
def _quick(page: Page) -> Page:
    """A page whose clips are short."""
    sitting.short_clips(page.context)
    return page


def said(studio: FakeStudio, session: Session) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(r.choice), r.reasons) for r in answers(studio, session)]


def test_a_gate_sitting_by_keyboard_alone(judged: FakeStudio, address: str, quick: Page) -> None:
    """Space hears the clip, shift and a digit gives a reason, F and P answer; each is kept before the next trial."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(quick, address, session)
    quick.keyboard.press("f")
    assert answers(judged, session) == [], "an answer before listening counts for nothing"
    for position, key in ((1, "f"), (2, "p"), (3, "p")):
        quick.wait_for_selector(f"text={position} of 3")
        quick.wait_for_selector(OPEN_PADS)
        quick.keyboard.press(" ")
        quick.wait_for_selector(OPEN_ANSWERS)
        if key == "f":
            quick.keyboard.press("Shift+Digit2")
        quick.keyboard.press(key)
    quick.wait_for_selector("text=That was all 3")
    assert said(judged, session) == [("fail", ("merged word",)), ("pass", ()), ("pass", ())]


def test_an_ab_sitting_and_a_reload(judged: FakeStudio, address: str, page: Page) -> None:
    """Both sides must be heard; a reload comes back to the same trial with the same tokens and the same volume."""
    session = judged.open_preference_session([(FIRST, SECOND)], reviewer="Ana")
    open_sitting(page, address, session)
    before = judged.next_trial(session.id)
    page.keyboard.press("1")
    page.wait_for_selector("[data-side='0'] [data-told]:text-is('heard')")
    assert page.locator(OPEN_ANSWERS).count() == 0, "one side alone is not enough"
    page.reload()
    page.wait_for_selector(OPEN_PADS)
    assert judged.next_trial(session.id) == before
    hear_all(page)
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("text=2 of 3")
    (kept,) = answers(judged, session)
    assert kept.choice is Choice.TIE
    assert all(kept.plays[label] >= 1 for label in "AB")
    assert kept.volume == pytest.approx(0.7)


PLACES = """[...document.querySelectorAll("[data-side], .em-transport, [data-choice], [data-act]")].map((button) => {
  const { x, y } = button.getBoundingClientRect();
  return [button.dataset.act, x, y];
})"""


def test_the_answer_tells_what_was_played(judged: FakeStudio, address: str, quick: Page) -> None:
    """Plays, switches, seeks, loops and hearings come with the answer, each with its time, side and place; the next
    trial stands where this one did.
    """
    session = judged.open_preference_session([(FIRST, SECOND)], reviewer="Ana")
    open_sitting(quick, address, session)
    places = [quick.evaluate(PLACES)]
    hear_all(quick)
    for key in ("l", "2", "k", "j", "s", "c", " "):  # in a loop, so that it does not end before the pause
        quick.keyboard.press(key)
    quick.keyboard.press("ArrowLeft")
    quick.wait_for_selector("text=2 of 3")
    places.append(quick.evaluate(PLACES))
    assert places[0] == places[1], "what is pressed stays where it is, however long the text"
    (kept,) = answers(judged, session)
    names = {name for _, name, _, _ in kept.events}
    assert names >= {"play", "switch", "heard", "seek", "loop", "loop_start", "loop_whole", "pause"}
    assert [at for at, *_ in kept.events] == sorted(at for at, *_ in kept.events)
    assert {label for _, _, label, _ in kept.events} == {"A", "B"}


def test_other_needs_a_note(judged: FakeStudio, address: str, quick: Page) -> None:
    """The reason that says nothing by itself opens the note, and no answer leaves without it."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(quick, address, session)
    hear_all(quick)
    quick.keyboard.press("Shift+Minus")
    assert quick.evaluate("document.activeElement.tagName") == "TEXTAREA"
    quick.keyboard.press("Escape")
    quick.keyboard.press("f")
    quick.wait_for_selector("[role=alert]:has-text('needs a note')")
    assert answers(judged, session) == []
    quick.locator("textarea").fill("a cough in the middle")
    quick.keyboard.press("Escape")
    quick.keyboard.press("f")
    quick.wait_for_selector("text=2 of 3")
    (kept,) = answers(judged, session)
    assert (kept.reasons, kept.note) == (("other",), "a cough in the middle")


def test_a_trial_fits_a_phone_and_a_thumb(judged: FakeStudio, address: str, phone: Page) -> None:
    """At 390 px nothing scrolls sideways, every button is at least 44 px high, the answers are in reach."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    phone.goto(f"{address}/listen/?session={session.id}")
    phone.tap("[data-act=begin]")
    phone.wait_for_selector(OPEN_PADS)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    for box in (b.bounding_box() for b in phone.locator(".em-listen button:visible").all()):
        assert box is not None
        assert min(box["height"], box["width"]) >= 44
    phone.tap(".em-pad")
    phone.wait_for_selector(OPEN_ANSWERS)
    answer = phone.locator("[data-choice=pass]").bounding_box()
    assert answer is not None
    assert answer["y"] + answer["height"] <= 844
    phone.tap("[data-choice=pass]")
    phone.wait_for_selector("text=2 of 3")
    assert said(judged, session) == [("pass", ())]


SAID = """() => {
  const live = document.querySelector("[data-listen] > [aria-live=polite]");
  window.said = [];
  new MutationObserver(() => window.said.push(live.textContent)).observe(live, { childList: true });
}"""


def test_a_screen_reader_hears_what_happens(judged: FakeStudio, address: str, quick: Page) -> None:
    """Pads have names that say their state; what plays and when to answer is announced; a trial begins at its title."""
    session = judged.open_preference_session([(FIRST, SECOND)], reviewer="Ana")
    open_sitting(quick, address, session)
    assert quick.evaluate("document.activeElement.tagName") == "H1"
    assert quick.get_by_role("button", name="Play B, not heard to the end yet").count() == 1
    quick.evaluate(SAID)
    quick.keyboard.press("2")
    quick.wait_for_function("window.said.includes('Playing B')")
    hear_all(quick)
    quick.wait_for_selector(OPEN_ANSWERS)
    quick.wait_for_function("window.said.includes('You can answer now.')")


# -------------------------------------------------------------------------------------------------- nothing is lost
def test_an_answer_that_cannot_be_sent_is_kept_and_sent(judged: FakeStudio, address: str, quick: Page) -> None:
    """Without a server the page says so and keeps the answer; when the server is back it is saved, once."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    quick.route("**/blind/answer", lambda route: route.abort())  # once the page is open, one request may slip by
    open_sitting(quick, address, session)
    hear_all(quick)
    quick.keyboard.press("p")
    quick.wait_for_selector("[role=alert]:has-text('not saved yet')")
    assert answers(judged, session) == []
    quick.unroute("**/blind/answer")
    quick.wait_for_selector("text=2 of 3")
    assert said(judged, session) == [("pass", ())]
    assert quick.evaluate("sessionStorage.length") == 0


def test_an_unsent_answer_survives_a_reload(judged: FakeStudio, address: str, quick: Page) -> None:
    """The tab keeps the one answer that is not saved, nothing else, and a reload sends it."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    quick.route("**/blind/answer", lambda route: route.abort())  # once the page is open, one request may slip by
    open_sitting(quick, address, session)
    hear_all(quick)
    quick.keyboard.press("f")
    quick.wait_for_selector("[role=alert]")
    kept = json.loads(quick.evaluate("JSON.stringify({...sessionStorage, ...localStorage})"))
    assert list(kept) == ["earmark-unsent"]
    body = json.loads(kept["earmark-unsent"])["body"]
    assert set(body) == {"session", "trial", "choice", "reasons", "note", "plays", "events", "volume"}
    quick.unroute("**/blind/answer")
    quick.reload()
    quick.wait_for_selector("text=2 of 3")
    assert said(judged, session) == [("fail", ())]


@pytest.mark.parametrize("arrives", [True, False])
def test_a_browser_that_is_killed_with_an_answer_on_its_way(
    judged: FakeStudio, address: str, browser: Browser, *, arrives: bool
) -> None:
    """Killed between click and reply: the next visit goes on where the server is, and no answer is lost or doubled."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    first = browser.new_context()
    sitting.short_clips(first)
    page = first.new_page()
    posted: list[Any] = []

    def held(route: Any) -> None:
        posted.append(route)
        if arrives:
            route.fetch()  # the server has it, the page never learns

    page.route("**/blind/answer", held)
    open_sitting(page, address, session)
    hear_all(page)
    page.keyboard.press("p")
    wait_until(page, lambda: bool(said(judged, session) if arrives else posted))
    first.close()
    again = browser.new_context().new_page()
    again.goto(f"{address}/listen/?session={session.id}")
    begin(again)
    again.wait_for_selector("text=2 of 3" if arrives else "text=1 of 3")
    assert said(judged, session) == ([("pass", ())] if arrives else [])
    again.context.close()


def test_a_server_that_refuses_is_heard(judged: FakeStudio, address: str, quick: Page) -> None:
    """A refusal is said in the server's words, and the page goes on from what the server has."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(quick, address, session)
    hear_all(quick)
    view = judged.next_trial(session.id)
    assert view is not None
    judged.answer(view.trial_id, Choice.FAIL, plays={"A": 1})
    quick.keyboard.press("p")
    quick.wait_for_selector("[role=alert]:has-text('This did not work')")
    quick.click("[data-act=again]")
    quick.wait_for_selector("text=2 of 3")
    assert said(judged, session) == [("fail", ())]


def test_the_last_answer_can_be_withdrawn(judged: FakeStudio, address: str, quick: Page) -> None:
    """U takes the last answer back: its trial comes again, and the new answer is the one in force."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(quick, address, session)
    hear_all(quick)
    quick.keyboard.press("p")
    quick.wait_for_selector("text=2 of 3")
    quick.wait_for_selector("[data-act=undo]:not([disabled])")
    quick.keyboard.press("u")
    quick.wait_for_selector("text=1 of 3")
    quick.wait_for_selector(OPEN_PADS)
    hear_all(quick)
    quick.keyboard.press("f")
    quick.wait_for_selector("text=2 of 3")
    assert said(judged, session) == [("fail", ())]


# ------------------------------------------------------------------------------------- before, between and after trials
def test_the_volume_is_set_once_a_block(judged: FakeStudio, address: str, quick: Page) -> None:
    """The slider is there before the first trial and fixed from then on; practice may still change it."""
    session = sitting.of_kind(judged, TrialKind.MOS, training=True)
    quick.goto(f"{address}/listen/?session={session.id}")
    quick.wait_for_selector("[data-act=begin]")
    quick.keyboard.press(" ")
    quick.wait_for_selector("[data-act=level][aria-pressed=true]")
    quick.locator("[data-volume]").fill("40")
    quick.click("[data-act=begin]")
    quick.wait_for_selector(".em-practice")
    quick.wait_for_selector(OPEN_PADS)
    assert quick.locator("[data-volume]").is_enabled()
    quick.locator("[data-volume]").fill("45")
    quick.locator("[data-volume]").blur()  # the arrows are the slider's as long as it has the focus
    hear_all(quick)
    sitting.give(quick, TrialKind.MOS)
    quick.wait_for_selector("text=1 of 1")
    assert quick.locator("[data-volume]").is_disabled()
    assert quick.locator("[data-volume]").input_value() == "45"


def test_headphones_can_be_checked(judged: FakeStudio, address: str, quick: Page) -> None:
    """Six trials of three sounds, each answered after all three were heard; what came of it is said."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    quick.goto(f"{address}/listen/?session={session.id}")
    quick.click("[data-act=phones]")
    for position in range(1, 7):
        quick.wait_for_selector(f"text={position} of 6")
        assert quick.locator("[data-quietest]:not([disabled])").count() == 0
        quick.keyboard.press(" ")
        quick.wait_for_selector("[data-quietest]:not([disabled])")
        quick.keyboard.press("1")
    quick.wait_for_selector("[data-phones]:has-text('of 6')")
    begin(quick)


def test_a_break_keeps_the_trial(judged: FakeStudio, address: str, quick: Page) -> None:
    """B hides the trial; Enter brings it back with what was picked and heard."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(quick, address, session)
    hear_all(quick)
    quick.keyboard.press("Shift+Digit1")
    quick.keyboard.press("b")
    quick.wait_for_selector("text=0 of 3 answered")
    assert quick.locator("[data-side]").count() == 0
    quick.keyboard.press("Enter")
    quick.wait_for_selector("[data-reason='dropped word'][aria-pressed=true]")
    quick.keyboard.press("f")
    quick.wait_for_selector("text=2 of 3")
    assert said(judged, session) == [("fail", ("dropped word",))]


def test_the_next_trial_is_there_before_it_is_asked_for(judged: FakeStudio, address: str, quick: Page) -> None:
    """Its audio is fetched once, in the background of the trial before, and nothing of it is shown."""
    session = judged.open_preference_session([(FIRST, SECOND)], reviewer="Ana")
    fetched: list[str] = []
    quick.on(
        "request", lambda request: fetched.append(request.url.rpartition("/")[2]) if "/audio/" in request.url else None
    )
    open_sitting(quick, address, session)
    view = judged.next_trial(session.id)
    assert view is not None
    quick.wait_for_function("document.querySelectorAll('[data-told]').length === 2")
    hear_all(quick)
    assert set(fetched) == {token for _, token in view.slots} | set(view.upcoming)
    shown = quick.content()
    assert not any(token in shown for token in view.upcoming)
    quick.keyboard.press("ArrowLeft")
    quick.wait_for_selector("text=2 of 3")
    quick.wait_for_selector(OPEN_PADS)
    assert len(fetched) == len(set(fetched))


def test_the_loop_by_keyboard_and_pointer(judged: FakeStudio, address: str, page: Page) -> None:
    """S and E set the bounds where the clip stands; the sliders set them too; C takes them away."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(page, address, session)
    assert not page.locator("[data-region]").is_visible()
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('[data-place=at]').value > 20")
    page.keyboard.press("s")
    page.wait_for_selector("[data-region]:visible")
    start = int(page.locator("[data-place=from]").input_value())
    assert 0 < start < 900
    page.locator("[data-place=to]").fill("950")
    page.wait_for_timeout(100)
    assert page.locator("[data-place=to]").input_value() == "950"
    page.keyboard.press("c")
    page.wait_for_function("document.querySelector('[data-place=from]').value === '0'")


def test_both_languages(judged: FakeStudio, address: str, browser: Browser) -> None:
    """The page speaks the browser's language; the switch changes it in place and loses nothing."""
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    context = browser.new_context(locale="zh-CN")
    sitting.short_clips(context)
    page = context.new_page()
    open_sitting(page, address, session)
    page.wait_for_selector("h1:has-text('这段语音可以发布吗')")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.locator("[data-frame=em_reviewer]").text_content() == "评审"
    page.keyboard.press("Shift+Digit1")
    page.keyboard.press("1")
    page.wait_for_selector(OPEN_ANSWERS)
    page.click("[data-language]")
    page.wait_for_selector("h1:has-text('Would you ship this clip')")
    page.wait_for_selector(OPEN_ANSWERS)
    assert page.locator("[data-reason='dropped word']").get_attribute("aria-pressed") == "true"
    assert "lang=en" in page.url
    page.reload()
    page.wait_for_selector("h1:has-text('Would you ship this clip')")
    context.close()


def test_without_a_sitting_the_page_says_what_to_do(judged: FakeStudio, address: str, page: Page) -> None:
    """Listen without a link offers the open sittings by reviewer, and nothing about their contents."""
    judged.open_gate_session([FIRST], reviewer="Zoe")
    page.goto(f"{address}/listen/")
    page.wait_for_selector("text=Zoe: pass or fail, 0 of 3 answered")
