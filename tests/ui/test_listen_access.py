"""Everybody can listen: axe-core finds nothing against WCAG 2.2 AA on any screen; the focus goes in reading order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from engine.types import TrialKind
from tests.ui import sitting
from tests.ui.fake_studio import FakeStudio
from tests.ui.sitting import FIRST, OPEN_PADS, begin, give, hear_all, open_sitting

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(name="quick")
def _quick(page: Page) -> Page:
    sitting.short_clips(page.context)
    page.emulate_media(reduced_motion="reduce")  # colours are measured, and not on their way to another
    return page


def faults(page: Page) -> list[str]:
    """What axe-core holds against the page as it is now, each with the element."""
    found: list[Any] = Axe().run(page, options=RULES).response["violations"]
    return [f"{v['id']}: {node['html'][:160]}" for v in found for node in v["nodes"]]


@pytest.mark.parametrize("kind", TrialKind)
def test_a_trial_of_every_kind_is_accessible(judged: FakeStudio, address: str, quick: Page, kind: TrialKind) -> None:
    """Before it was heard and after, wide and light, on a phone and dark."""
    open_sitting(quick, address, sitting.of_kind(judged, kind))
    assert faults(quick) == []
    hear_all(quick)
    quick.keyboard.press("l")
    assert faults(quick) == []
    quick.set_viewport_size(PHONE)  # type: ignore[arg-type]
    quick.click("[data-theme-toggle]")
    assert faults(quick) == []
    assert quick.evaluate("document.documentElement.scrollWidth") <= 390


def test_every_other_screen_is_accessible(judged: FakeStudio, address: str, quick: Page) -> None:
    """The queue, the volume, the headphone check, the keys, a break, an answer that cannot be sent, the end."""
    quick.route("**/blind/answer", lambda route: route.abort())
    session = sitting.of_kind(judged, TrialKind.PREFERENCE, trials=1)
    quick.goto(f"{address}/listen/")
    quick.wait_for_selector("[data-stage] a.em-button")
    assert faults(quick) == []
    quick.goto(f"{address}/listen/?session={session.id}")
    quick.wait_for_selector("[data-act=begin]")
    assert faults(quick) == []
    quick.click("[data-act=phones]")
    quick.wait_for_selector("[data-quietest]")
    assert faults(quick) == []
    quick.click("[data-act=skip]")
    begin(quick)
    quick.keyboard.press("?")
    quick.wait_for_selector("dialog[open]")
    assert faults(quick) == []
    quick.click("[data-act=close]")
    quick.keyboard.press("b")
    quick.wait_for_selector("[data-act=resume]")
    assert faults(quick) == []
    quick.keyboard.press("Enter")
    hear_all(quick)
    give(quick, TrialKind.PREFERENCE)
    quick.wait_for_selector("[role=alert]")
    assert faults(quick) == []
    quick.click("[data-act=send]")  # while it cannot be sent: it goes by itself as soon as it can
    quick.unroute("**/blind/answer")
    quick.wait_for_selector("text=That was all 1")
    assert faults(quick) == []


def test_the_focus_goes_in_reading_order(judged: FakeStudio, address: str, quick: Page) -> None:
    """Tab leads from the title over clips, player and answers to the reasons, each with a ring that can be seen; a
    text that has to be scrolled comes first.
    """
    session = judged.open_gate_session([FIRST], reviewer="Ana")
    open_sitting(quick, address, session)
    hear_all(quick)
    quick.locator("h1").focus()
    order = []
    for _ in range(10):
        quick.keyboard.press("Tab")
        order.append(
            quick.evaluate(
                """() => {
                  const at = document.activeElement, style = getComputedStyle(at);
                  const { side, act, place, choice, reason } = at.dataset;
                  const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                  if (ring && at.matches(".em-text")) return "text";
                  return ring ? side ?? act ?? place ?? choice ?? reason : `no ring on ${at.outerHTML}`;
                }"""
            )
        )
    order = order[1:] if order[0] == "text" else order[:-1]
    assert order == ["0", "toggle", "restart", "loop", "at", "pass", "fail", "dropped word", "merged word"]


def test_nothing_moves_for_who_wants_no_motion(judged: FakeStudio, address: str, quick: Page) -> None:
    """With reduced motion asked for, nothing on the page has a transition or an animation."""
    open_sitting(quick, address, judged.open_gate_session([FIRST], reviewer="Ana"))
    quick.wait_for_selector(OPEN_PADS)
    moving = quick.evaluate(
        """() => [...document.querySelectorAll('[data-listen] *')].filter((node) => {
          const style = getComputedStyle(node);
          return style.animationName !== 'none' || style.transitionDuration.split(',').some((t) => parseFloat(t) > 0);
        }).map((node) => node.outerHTML.slice(0, 80))"""
    )
    assert moving == []
