"""The whole loop through the page in a browser: data, run, sweep, blind listening, verdicts, trash, promotion, export.

The same steps are driven twice: over the tests' studio, which answers at once and needs no weights, and over the real
one with the built-in voice, which really trains, renders and exports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.types import Candidate
from engine.workspace import Workspace
from tests.ui import sitting
from tests.ui.conftest import served
from tests.ui.fake_studio import FakeStudio
from tests.ui.watched import WITHIN_MS
from ui import pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

WEIGHTS = Path(__file__).parents[2] / "assets" / "finch" / "language_model.safetensors"
REAL_WORK_WITHIN_MS = 900_000  # training and rendering on a busy machine


@dataclass(frozen=True)
class Loop:
    """A studio with a manifest, who is behind a trial, and how long its training, rendering and export may take."""

    studio: Any
    manifest: Path
    behind: Callable[[str], Candidate]
    work_within_ms: int


def fake(folder: Path) -> Loop:
    """The tests' studio: all of it answers at once."""
    studio = FakeStudio(Workspace(folder))
    return Loop(
        studio,
        studio.make_demo_data(),
        lambda trial: studio.clip(studio._trials[trial].slots[0].clip_id).candidate,
        WITHIN_MS,
    )


def real(folder: Path) -> Loop:
    """The real studio with the built-in voice and a minute of the demo voice."""
    from engine.studio import Studio

    studio = Studio(Workspace(folder))
    store = studio.store
    return Loop(
        studio,
        studio.make_demo_data(minutes=1.0),
        lambda trial: store.clip(store.trial(trial).slots[0].clip_id).candidate,
        REAL_WORK_WITHIN_MS,
    )


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=address, accept_downloads=True)
    sitting.short_clips(context)
    yield context.new_page()
    context.close()


def fill(page: Page, field: str, value: str) -> None:
    page.locator(f"{field} input, {field} textarea").first.fill(value)
    page.locator(f"{field} input, {field} textarea").first.blur()


def go(page: Page, path: str) -> None:
    """Open a page and wait until it has asked for what it shows."""
    with page.expect_response("**/gradio_api/run/predict*"):
        page.goto(path)
    page.wait_for_timeout(500)


def prepare_and_train(page: Page, loop: Loop) -> str:
    page.goto("/")
    page.get_by_label("Path").fill(str(loop.manifest))
    page.get_by_label("Name").fill("robin")
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("button", name="Audit").last.click()
    page.get_by_role("tab", name="Prepare").click()
    page.get_by_role("button", name="Prepare the dataset").click()
    page.wait_for_selector("text=is ready", timeout=loop.work_within_ms)
    dataset = loop.studio.datasets()[0].id
    go(page, f"/runs?dataset={dataset}")
    page.wait_for_function("id => document.querySelector('#input-dataset').value === id", arg=dataset)
    fill(page, "#field-name", "robin")
    fill(page, "#field-epochs", "2")
    page.wait_for_selector(".em-copyable pre:has-text('\"epochs\": 2')", state="attached")
    page.click("#start")
    page.wait_for_selector("text=Hear them in a sweep", timeout=loop.work_within_ms)
    page.wait_for_selector(".em-run .em-state:text-is('completed')", timeout=loop.work_within_ms)
    return str(loop.studio.runs()[0].id)


def sweep_and_send(page: Page, loop: Loop, run_id: str) -> list[str]:
    """Render every checkpoint at scale 1, mark the first and the last, send them to a blind gate."""
    page.goto(f"/sweep?run={run_id}")
    page.wait_for_selector("#checkpoints input:checked")
    page.fill("#scales", "1.0")
    page.wait_for_selector("text=To render")
    page.click("#render")
    ids = [c.id for c in loop.studio.checkpoints(run_id)]
    wanted = [f"{ids[0]}:1", f"{ids[-1]}:1"]
    for cell in wanted:
        page.wait_for_selector(f"[data-cell='{cell}']", timeout=loop.work_within_ms).click()
        page.wait_for_selector(f"[data-cell='{cell}'][aria-current=true]").click()
        page.wait_for_selector(f"[data-cell='{cell}'][aria-pressed=true]")
    page.wait_for_selector(".em-clip [data-at]")
    page.click("[data-act=send-open]")
    fill(page, "#reviewer", "Ana")
    page.click("#send")
    page.wait_for_selector("a:text('Open the sitting')")
    return wanted


def listen(page: Page, loop: Loop, failing: str) -> None:
    """Answer every trial by keyboard: what is behind it is known to this test, not to the page."""
    studio = loop.studio
    session = studio.sessions()[0].id
    page.goto(f"/listen/?session={session}")
    sitting.begin(page)
    while (view := studio.next_trial(session)) is not None:
        page.wait_for_selector(f"text={view.position} of {view.total}")
        page.wait_for_selector(".em-pad:not([disabled])")
        page.keyboard.press(" ")
        page.wait_for_selector("[data-choice]:not([disabled])")
        if loop.behind(view.trial_id).id == failing:
            page.keyboard.press("Shift+Digit1")
            page.keyboard.press("f")
        else:
            page.keyboard.press("p")
        after = page.locator(f"text=/{view.position + 1} of {view.total}|That was all/")
        after.or_(page.locator("[data-reply]")).first.wait_for()
        refute(page)
        after.first.wait_for()


def refute(page: Page) -> None:
    """Say no to every flag of the clip that was just judged: the ear is often wrong about a voice this young."""
    while page.locator("[data-reply]").count():
        asked = page.locator(".em-question").inner_text()
        page.locator("[data-reply]").nth(1).click()
        page.wait_for_function("asked => document.querySelector('.em-question')?.innerText !== asked", arg=asked)


def judge_and_keep(page: Page, studio: Any, failing: str) -> None:
    """Verdicts drive the retention preview; one failed checkpoint goes to the trash and comes back."""
    checkpoint = failing.rpartition(":")[0]
    go(page, "/gate")
    page.wait_for_selector("table:has-text('epoch')")
    fill(page, "#person", "Ana")
    assert page.locator("#going input").count() == 0, "nothing may go before there are verdicts"
    page.click("#judge")
    page.wait_for_selector("text=1 checkpoint moves to the trash")
    assert page.locator("#going").inner_text().strip().endswith(checkpoint)
    before = sorted(c.id for c in studio.checkpoints())
    page.click("#trash")
    page.wait_for_selector("#undo")
    assert checkpoint not in [c.id for c in studio.checkpoints()]
    page.click("#undo")
    page.wait_for_selector("#undo", state="hidden")
    assert sorted(c.id for c in studio.checkpoints()) == before


def promote_and_export(page: Page, loop: Loop, best: str) -> None:
    fill(page, "#alias", "production/robin")
    fill(page, "#why", "Clear on the long tier.")
    page.click("#promote")
    page.wait_for_selector("text=is promoted by Ana")
    assert [(p.alias, p.candidate.id) for p in loop.studio.promotions()] == [("production/robin", best)]
    go(page, "/voices")
    page.wait_for_selector(".em-card:has-text('production/robin')")
    page.click("#speak")
    page.wait_for_selector("[data-clip^='data:audio/wav']", timeout=loop.work_within_ms)
    page.click("#export")
    page.wait_for_selector(".em-state:text-is('verified')", timeout=loop.work_within_ms)
    page.click("#verify")
    page.wait_for_selector("text=Spoken through plain PEFT", timeout=loop.work_within_ms)
    page.wait_for_selector("code:text-is('README.md')", state="attached")
    with page.expect_download() as download:
        page.locator("a[download]").first.click()
    assert download.value.path().read_bytes().startswith(b"PK")


@pytest.mark.parametrize(
    "loop_in",
    [
        pytest.param(fake, id="pages"),
        pytest.param(
            real,
            id="real",
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(not WEIGHTS.exists(), reason="the built-in voice has no weights"),
            ],
        ),
    ],
)
def test_the_whole_loop(loop_in: Callable[[Path], Loop], tmp_path: Path, browser: Browser) -> None:
    """From a manifest to a verified export: judged blind, nothing removed without a verdict, undone on demand."""
    loop = loop_in(tmp_path)
    with closing(loop.studio), served(pages.app(loop.studio)) as address, opened(browser, address) as page:
        run_id = prepare_and_train(page, loop)
        failing, best = sweep_and_send(page, loop, run_id)
        listen(page, loop, failing)
        judge_and_keep(page, loop.studio, failing)
        promote_and_export(page, loop, best)
