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
    give(quick, kind)
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
    """What the server asks after an answer is shown with the clip to hear again; its reply goes out, then the trials
    go on.
    """
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    question = {"text": "A word may be missing. Is it?", "choices": [["yes", "It is missing"], ["no", "All are there"]]}
    replies: list[Any] = []

    def answered(route: Any) -> None:
        route.fulfill(response=route.fetch(), json={"saved": True, "question": question})

    def flagged(route: Any) -> None:
        replies.append(route.request.post_data_json)
        route.fulfill(json={"saved": True})

    quick.route("**/blind/answer", answered)
    quick.route("**/blind/flag", flagged)
    open_sitting(quick, address, session)
    view = judged.next_trial(session.id)
    hear_all(quick)
    quick.wait_for_selector(OPEN_ANSWERS)
    quick.keyboard.press("p")
    quick.wait_for_selector("text=A word may be missing. Is it?")
    assert len(answers(judged, session)) == 1
    quick.keyboard.press("1")
    quick.wait_for_selector("[data-side='0'][aria-pressed=true]")
    quick.get_by_role("button", name="All are there").click()
    quick.wait_for_selector("text=2 of 3")
    quick.wait_for_selector(OPEN_PADS)
    assert view is not None
    assert replies == [{"session": session.id, "trial": view.trial_id, "choice": "no"}]
