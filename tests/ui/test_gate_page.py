"""The Gate page in a browser: from a cell to its evidence, from a changed rule to a new version, to a blind sitting."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from engine.studio import State
from engine.types import Clip, Score, Tier
from tests.ui import sitting
from tests.ui.fake_studio import FakeStudio
from tests.ui.watched import WITHIN_MS, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def opened(page: Page, address: str, *, size: tuple[int, int] = (1280, 900)) -> Page:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{address}/gate")
    page.wait_for_selector(".em-matrix [data-cell]")
    return page


def type_until_it_stays(page: Page, field: str, value: str) -> None:
    """A form that has just been opened may get its values after what is typed faster than anybody types."""
    for _ in range(10):
        page.locator(field).fill(value)
        page.wait_for_timeout(1000)
        if page.locator(field).input_value() == value:
            return
    raise AssertionError(f"{field} does not keep {value}")


def flag(judged: FakeStudio, clip: Clip) -> None:
    """As if the ear had missed the clip's first word."""
    score = Score(
        clip_id=clip.id, screener="words", version=1, value=9.0, unit="%", passed=False, explanation="",
        reasons={"dropped word": (clip.text.split()[0],)},
    )  # fmt: skip
    judged.listening.store.add_scores([score])


def test_a_cell_opens_its_evidence(page: Page, address: str, judged: FakeStudio) -> None:
    """A click shows why a tier failed, who said so, and the clip to play; the tier filter leaves the others out."""
    row = next(row for row in judged.matrix() if row.tiers[Tier.LONG].state is State.FAIL)
    clip = judged.evidence(row.candidate, Tier.LONG)[0].clip
    flag(judged, clip)
    opened(page, address)
    page.locator(f"[data-cell='{row.candidate.id}|long']").click()
    page.wait_for_selector(f"h2:text-is('{row.label}, long tier')")
    card = page.locator(".em-evidence .em-clip").first
    assert card.get_attribute("data-clip") == f"/clips/{clip.id}"
    told = card.inner_text()
    for piece in ("dropped word", "Ana", "three-tiers version 2", "flag: dropped word", "nobody was asked yet"):
        assert piece in told
    page.wait_for_function("document.querySelectorAll('[data-cell][aria-current=true]').length === 1")
    page.locator("#gate-tier input").click()
    page.get_by_role("option", name="long").click()
    page.wait_for_function("() => !document.querySelector('.em-matrix').innerText.includes('short')")
    assert page.locator(".em-matrix [data-cell$='|short']").count() == 0


def test_a_flag_confirmed_in_listen_is_evidence_on_gate(page: Page, address: str, judged: FakeStudio) -> None:
    """The reviewer passes a clip, is then asked about its flag, says yes: the tier fails, and Gate says by whom."""
    row = next(row for row in judged.matrix() if row.tiers[Tier.LONG].state is State.PASS and not row.candidate.is_base)
    clip = judged.evidence(row.candidate, Tier.LONG)[0].clip
    flag(judged, clip)
    session = judged.open_gate_session([row.candidate], tiers=[Tier.LONG], reviewer="Dora")
    sitting.short_clips(page.context)
    page.goto(f"{address}/listen/?session={session.id}")
    sitting.begin(page)
    page.wait_for_selector(sitting.OPEN_PADS)
    page.keyboard.press(" ")
    page.wait_for_selector(sitting.OPEN_ANSWERS)
    assert page.locator("[data-reply]").count() == 0, "nothing is said of a flag before the answer"
    page.keyboard.press("p")
    page.wait_for_selector("[data-reply]")
    assert clip.text.split()[0] in page.locator(".em-question").inner_text()
    page.locator("[data-reply]").first.click()
    page.wait_for_selector("text=That was all")
    opened(page, address)
    cell = page.locator(f"[data-cell='{row.candidate.id}|long']").first
    assert "fail" in str(cell.get_attribute("aria-label"))
    cell.click()
    page.wait_for_selector(".em-answers:has-text('confirmed by Dora')")
    page.wait_for_selector("text=Dora confirmed dropped word")


def test_rules_are_tried_then_kept_as_a_new_version(page: Page, address: str, judged: FakeStudio) -> None:
    """What would change is shown and nothing is written; saving makes version 3, of a named person."""
    before = len(judged.listening.store.verdict_history())
    opened(page, address)
    page.locator("#change-rules button").first.click()
    type_until_it_stays(page, "#reviewers-long input", "2")
    page.click("#try-rules")
    page.wait_for_selector("text=verdicts would change")
    assert judged.gate().version == 2
    page.click("#save-rules")
    page.wait_for_selector("text=Write your name first")
    page.locator("#person input, #person textarea").first.fill("Ana")
    page.click("#save-rules")
    page.wait_for_selector("text=three-tiers, version 3")
    assert [rule.reviewers for rule in judged.gate().rules] == [1, 1, 2]
    assert len(judged.listening.store.verdict_history()) == before
    page.click("#judge")
    page.wait_for_selector("text=Verdicts written")
    assert {verdict.gate_version for verdict in judged.verdicts()} == {3}


def test_a_sitting_is_opened_about_what_is_undecided(page: Page, address: str, judged: FakeStudio) -> None:
    """From what is still needed to a link for a reviewer, on a telephone too."""
    opened(page, address, size=(390, 844))
    page.locator("#ask-about input").click()
    page.get_by_role("option").first.click()
    page.locator("#ask-whom input, #ask-whom textarea").first.fill("Cleo")
    page.keyboard.press("Escape")
    page.click("#ask")
    page.wait_for_selector("a:text('Open the sitting')")
    session = judged.sessions()[0]
    assert (session.reviewer, session.gate) == ("Cleo", "three-tiers")
    assert judged.session_progress(session.id)[1] == 3
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


# ---- while answers are on their way
class Slow:
    """A method of the studio that waits until it may go on, from the first call on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, studio: FakeStudio, name: str) -> None:
        self.go_on = threading.Event()
        self.calls = 0
        self._works = getattr(studio, name)
        monkeypatch.setattr(studio, name, self)

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.calls += 1
        assert self.go_on.wait(WITHIN_MS / 1000)
        return self._works(*given, **named)


def test_the_cell_clicked_last_is_the_one_that_is_open(
    page: Page, address: str, judged: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A click is not lost while another cell's evidence is on its way."""
    first, last = [row for row in judged.matrix() if Tier.LONG in row.tiers and not row.candidate.is_base][:2]
    opened(page, address)
    slow = Slow(monkeypatch, judged, "evidence")
    page.locator(f"[data-cell='{first.candidate.id}|long']").click()
    wait_until(page, lambda: slow.calls > 0)
    page.locator(f"[data-cell='{last.candidate.id}|long']").click()
    slow.go_on.set()
    page.wait_for_selector(f"h2:text-is('{last.label}, long tier')")
    assert page.locator(f"[data-cell='{last.candidate.id}|long'][aria-current=true]").count() == 1


def test_a_slow_act_leaves_what_was_opened_and_chosen_meanwhile(
    page: Page, address: str, judged: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to an act draws what is looked at when it comes, and what was chosen stays chosen."""
    row = next(row for row in judged.matrix() if Tier.LONG in row.tiers and not row.candidate.is_base)
    opened(page, address)
    slow = Slow(monkeypatch, judged, "judge")
    page.locator("#person input, #person textarea").first.fill("Ana")
    page.click("#judge")
    wait_until(page, lambda: slow.calls > 0)
    page.locator(f"[data-cell='{row.candidate.id}|long']").click()
    page.wait_for_selector(f"h2:text-is('{row.label}, long tier')")
    page.locator("#ask-about input").click()
    page.get_by_role("option").first.click()
    page.keyboard.press("Escape")
    chosen = page.locator("#ask-about .token").first.inner_text()
    slow.go_on.set()
    page.wait_for_selector(".toast-body")
    page.wait_for_timeout(300)
    assert page.locator(f"h2:text-is('{row.label}, long tier')").count() == 1
    assert page.locator("#ask-about .token").first.inner_text() == chosen


def test_the_button_says_how_many_are_ticked(page: Page, address: str) -> None:
    """What goes to the trash is what is ticked, and the button counts that; with nothing ticked it does nothing."""
    opened(page, address)
    boxes = page.locator("#going input")
    boxes.first.wait_for()
    many = boxes.count()
    page.wait_for_selector(f"#trash:text-is('Move {many} to the trash')")
    for place in range(many):
        boxes.nth(place).uncheck()
    page.wait_for_selector("#trash:text-is('Move 0 to the trash'):disabled")
    boxes.first.check()
    page.wait_for_selector("#trash:text-is('Move 1 to the trash'):enabled")
