"""Every kind of trial on the Listen page: what it asks, how it is answered by keys and by pointer, what arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.types import Choice, TrialKind
from tests.ui import sitting
from tests.ui.fake_studio import FakeStudio
from tests.ui.sitting import FIRST, LABELS, OPEN_ANSWERS, OPEN_PADS, OPEN_SAVE, answers, give, hear_all, open_sitting

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

TOLD: dict[TrialKind, Any] = {
    TrialKind.GATE: (Choice.PASS, None, {}),
    TrialKind.PREFERENCE: (Choice.TIE, None, {}),
    TrialKind.ABX: (Choice.A, None, {}),
    TrialKind.CMOS: (None, 1, {}),
    TrialKind.MOS: (None, 4, {}),
    TrialKind.MULTI: (None, None, {label: 60 + i for i, label in enumerate("ABCDEFGH")}),
}


@pytest.fixture(name="quick")
def _quick(page: Page) -> Page:
    sitting.short_clips(page.context)
    return page


@pytest.mark.parametrize("kind", TrialKind)
def test_a_trial_of_every_kind_by_keyboard(judged: FakeStudio, address: str, quick: Page, kind: TrialKind) -> None:
    """Heard and answered by keys alone; what arrives is what was pressed; the next trial follows."""
    session = sitting.of_kind(judged, kind)
    open_sitting(quick, address, session)
    assert quick.locator("[data-side]").count() == len(LABELS[kind])
    quick.keyboard.press(sitting.LAST_KEY[kind])
    assert answers(judged, session) == [], "nothing is answered before it was heard"
    hear_all(quick)
    give(quick, kind)
    quick.wait_for_selector("text=2 of 2")
    (kept,) = answers(judged, session)
    assert (kept.choice, kept.rating, dict(kept.ratings)) == TOLD[kind]
    assert set(kept.plays) == set(LABELS[kind])


def test_a_rating_is_picked_and_then_saved(judged: FakeStudio, address: str, quick: Page) -> None:
    """A rating by pointer can still be changed; the button saves it, and not before one was picked."""
    session = sitting.of_kind(judged, TrialKind.CMOS)
    open_sitting(quick, address, session)
    hear_all(quick)
    assert quick.locator(OPEN_SAVE).count() == 0
    quick.get_by_label("\u22122 B worse").click()
    quick.get_by_label("+3 B much better").click()
    assert quick.locator("[data-chosen]").text_content() == "+3 · B much better"
    quick.click(OPEN_SAVE)
    quick.wait_for_selector("text=2 of 2")
    assert [r.rating for r in answers(judged, session)] == [3]


def test_clips_are_sorted_by_their_rating_on_demand(judged: FakeStudio, address: str, quick: Page) -> None:
    """O puts the best on top and back by letter; the focus stays with its clip, and every clip must be rated."""
    session = sitting.of_kind(judged, TrialKind.MULTI)
    open_sitting(quick, address, session)
    rows = "[...document.querySelectorAll('[data-row]')].map(row => row.dataset.row).join('')"
    for label, rating in (("B", 90), ("E", 70), ("H", 95)):
        quick.locator(f"[data-rating={label}]").fill(str(rating))
    quick.locator("[data-rating=E]").focus()
    quick.keyboard.press("o")
    assert quick.evaluate(rows) == "HBEACDFG"
    assert quick.evaluate("document.activeElement.dataset.rating") == "E"
    quick.keyboard.press("o")
    assert quick.evaluate(rows) == "ABCDEFGH"
    hear_all(quick)
    quick.wait_for_timeout(200)
    assert quick.locator(OPEN_SAVE).count() == 0
    assert quick.locator("[data-todo]").is_visible()


def test_practice_is_marked(judged: FakeStudio, address: str, quick: Page) -> None:
    """A training trial says that it does not count, and is not numbered among those that do."""
    session = sitting.of_kind(judged, TrialKind.PREFERENCE, training=True)
    open_sitting(quick, address, session)
    assert quick.locator(".em-practice").text_content() == "Practice: this answer does not count"
    hear_all(quick)
    give(quick, TrialKind.PREFERENCE)
    quick.wait_for_selector("text=1 of 1")
    assert quick.locator(".em-practice").count() == 0


def test_a_question_about_a_saved_answer(judged: FakeStudio, address: str, quick: Page) -> None:
    """What the server asks after an answer is shown with the clip to hear again; a reload asks it again; its reply goes
    out, then the trials go on.
    """
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(quick, address, session)
    view = judged.next_trial(session.id)
    assert view is not None
    question = {
        "trial": view.trial_id,
        "text": "A word may be missing. Is it?",
        "reason": "dropped word",
        "words": ["boats"],
        "choices": [["yes.1", "Yes"], ["no.1", "No"]],
    }
    replies: list[Any] = []
    trial = quick.request.get(f"{address}/blind/trial?session={session.id}").json()

    def flagged(route: Any) -> None:
        replies.append(route.request.post_data_json)
        quick.unroute("**/blind/trial*")
        route.fulfill(json={"saved": True})

    quick.route("**/blind/answer", lambda r: r.fulfill(response=r.fetch(), json={"saved": True, "question": question}))
    quick.route("**/blind/trial*", lambda r: r.fulfill(json=trial | {"question": question}))
    quick.route("**/blind/flag", flagged)
    hear_all(quick)
    quick.wait_for_selector(OPEN_ANSWERS)
    quick.keyboard.press("p")
    quick.wait_for_selector("text=A word may be missing. Is it?")
    assert len(answers(judged, session)) == 1
    quick.reload()
    quick.wait_for_selector("text=A word may be missing. Is it?")
    quick.wait_for_selector(OPEN_PADS)
    quick.keyboard.press("1")
    quick.wait_for_selector("[data-side='0'][aria-pressed=true]")
    quick.get_by_role("button", name="No", exact=True).click()
    quick.wait_for_selector("text=2 of 3")
    quick.wait_for_selector(OPEN_PADS)
    assert replies == [{"session": session.id, "trial": view.trial_id, "choice": "no.1"}]
