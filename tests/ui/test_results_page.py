"""The Results page in a browser: the test that was chosen last is the one that is shown and acted on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.studio import Studio
from engine.types import Tier, TrialKind
from engine.workspace import Workspace
from tests.test_studio import BASE, TUNED, put_clip
from tests.ui.conftest import served
from tests.ui.watched import WITHIN_MS, wait_until
from ui import pages, results

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(name="studio", scope="module")
def _studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """Two tests, of which nobody has answered anything."""
    with Studio(Workspace(tmp_path_factory.mktemp("results")), clock=lambda: 1_000.0) as studio:
        for candidate in (BASE, TUNED):
            for tier in Tier:
                put_clip(studio, candidate, tier)
        for name in ("early", "late"):
            plan = studio.new_test(TrialKind.PREFERENCE, by="Eve")
            studio.make_test(replace(plan, name=name, candidates=(BASE, TUNED), reviewers=("Ada",)))
        yield studio


@pytest.fixture(name="at", scope="module")
def _at(studio: Studio) -> Iterator[str]:
    """The page, which does not look again by itself: what is tested is what a choice shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "EVERY_SEC", 3600.0)
        app = pages.app(studio)
    with served(app) as address:
        yield address


def choose(page: Page, name: str) -> None:
    page.locator("#results-test input").click()
    page.get_by_role("option", name=name).click()


def test_the_test_chosen_last_is_shown_and_unblinded(
    page: Page, at: str, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that is still on its way does not come back over it; what is unblinded is what is shown."""
    page.goto(f"{at}/results")
    page.wait_for_selector("#unblind")
    tests = {state.test.name: state.test.id for state in studio.tests()}
    go_on = threading.Event()
    asked: list[str] = []
    find = studio.results

    def slow(test_id: str) -> Any:
        asked.append(test_id)
        assert test_id != tests["early"] or go_on.wait(WITHIN_MS / 1000)
        return find(test_id)

    choose(page, "late")
    page.wait_for_selector("h1:has-text('late')")
    monkeypatch.setattr(studio, "results", slow)
    choose(page, "early")
    wait_until(page, lambda: tests["early"] in asked)
    choose(page, "late")
    go_on.set()
    wait_until(page, lambda: asked[-1] == tests["late"])
    page.wait_for_selector("h1:has-text('late')")
    page.locator("#person input, #person textarea").first.fill("Eve")
    page.click("#unblind")
    page.wait_for_selector("text=Unblinded by Eve")
    assert page.locator("h1:has-text('late')").count() == 1
    assert [find(tests[name]).is_blinded for name in ("early", "late")] == [True, False]
