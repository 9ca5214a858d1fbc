"""The models on the Voices page: what each can do or lacks, environments that come and go, and the check of a training
step.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.environments import Environment, State
from engine.types import BaseModel
from engine.workspace import Workspace
from tests.ui.conftest import served
from tests.ui.fake_studio import FakeStudio
from ui import view_models

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def environment(state: State, size: int = 0) -> Environment:
    return Environment(backend="other", state=state, python=None, path=None, packages={}, bytes=size)


@pytest.mark.parametrize("state", State)
def test_every_state_of_an_environment_has_words(state: State) -> None:
    """Whatever an environment's state is, the table says it, and what to do where something is to be done."""
    told = view_models.models([BaseModel(name="other", title="Other", parts=("lm",))], [environment(state, 2 * 10**9)])
    assert view_models.STATES[state.value] in told
    assert "2.0 GB" in told


def test_what_a_model_lacks_stands_where_its_abilities_would() -> None:
    """A model that cannot be used promises nothing, and what its error says is text, never markup."""
    told = view_models.models([BaseModel(name="other", title="Other", lacks="no <weights>")], [])
    assert "no &lt;weights&gt;" in told
    assert "LoRA" not in told


def test_a_training_step_that_is_off_is_no_good_news() -> None:
    """Anything below all codes is a fault; 99.9 % is what one shifted place looks like."""
    assert "em-bad" not in view_models.agreement("other", 1.0)
    assert "em-bad" in view_models.agreement("other", 0.999)


@pytest.fixture(name="page")
def _page(tmp_path: Path, browser: Browser) -> Iterator[Page]:
    from ui import pages

    with served(pages.app(FakeStudio(Workspace(tmp_path)))) as address:  # type: ignore[arg-type]
        context = browser.new_context(viewport={"width": 390, "height": 900})
        page = context.new_page()
        page.goto(f"{address}/voices")
        page.get_by_text("Models and their environments").click()
        yield page
        context.close()


@pytest.mark.browser
def test_an_environment_is_installed_checked_and_removed(page: Page) -> None:
    """Installing says how far it is and then that it is there; the check and removing say what they did."""
    page.wait_for_selector("text=not installed")
    page.click("#environment-install")
    page.wait_for_selector("td:has-text('installed'):not(:has-text('not installed'))")
    page.click("#check-voice")
    page.wait_for_selector("text=is taught what it speaks")
    page.click("#environment-remove")
    page.wait_for_selector("text=runs and adapters stay")
    page.wait_for_selector("text=not installed")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_the_page_that_is_open_is_in_sight_in_the_bar(page: Page) -> None:
    """On a phone the bar holds more pages than fit: the open one is scrolled to, though it is the last."""
    page.wait_for_function(
        """() => {
          const here = document.querySelector("nav a[aria-current]").getBoundingClientRect();
          return here.left >= 0 && here.right <= window.innerWidth;
        }"""
    )
