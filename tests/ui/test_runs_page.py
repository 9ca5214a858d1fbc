"""The Runs page in a browser: the form, preflight, the queue, a run live, runs laid over one another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.sweep_records import AutomaticSweep
from engine.types import RunState
from engine.workspace import Workspace
from tests.ui import fake_training
from tests.ui.conftest import served
from tests.ui.fake_studio import FakeStudio
from tests.ui.held_back import HeldBack
from tests.ui.watched import wait_until
from ui import pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

MARK = "[data-field={}] [data-mark]"


@pytest.fixture(name="busy", scope="module")
def _busy(tmp_path_factory: pytest.TempPathFactory) -> FakeStudio:
    """A studio with a run of each state; the module's tests share it."""
    studio = FakeStudio(Workspace(tmp_path_factory.mktemp("busy")))
    dataset = studio.prepare(studio.make_demo_data(), name="robin")
    studio.start_run(replace(studio.default_config(), name="robin", dataset=dataset.id))
    fake_training.add_runs(studio, dataset)
    return studio


@pytest.fixture(name="at", scope="module")
def _at(busy: FakeStudio) -> Iterator[str]:
    with served(pages.app(busy)) as address:  # type: ignore[arg-type]
        yield address


def opened(page: Page, address: str) -> Page:
    page.goto(address)
    page.wait_for_selector(":root[data-runs]")
    return page


def form(page: Page, at: str) -> Page:
    opened(page, f"{at}/runs?dataset=robin")
    page.wait_for_selector("[data-level]")
    return page


def type_into(page: Page, field: str, value: str) -> None:
    page.evaluate("document.querySelectorAll('.em-section').forEach((d) => (d.open = true))")
    page.fill(f"#input-{field}", value)


# ---- the form
def test_what_cannot_be_is_said_at_the_field_and_not_sent(page: Page, at: str, busy: FakeStudio) -> None:
    """An impossible rank is marked with its bounds, and pressing Start goes to it instead of to the engine."""
    form(page, at)
    before = len(busy.runs())
    type_into(page, "rank", "999")
    page.wait_for_selector(f"{MARK.format('rank')}:has-text('from 1 to 256')")
    page.click("#start")
    assert page.evaluate("document.activeElement.id") == "input-rank"
    assert page.get_attribute("#input-rank", "aria-invalid") == "true"
    assert len(busy.runs()) == before


def test_what_differs_from_the_preset_says_so(page: Page, at: str) -> None:
    """A changed field names the preset's value; put back, it says nothing."""
    form(page, at)
    type_into(page, "rank", "4")
    page.wait_for_selector(f"{MARK.format('rank')}:has-text('Preset: 16')")
    page.fill("#input-rank", "16")
    page.wait_for_selector(MARK.format("rank"), state="hidden")


def test_fields_that_do_not_apply_are_not_there(page: Page, at: str) -> None:
    """Rank and alpha go when every weight is trained, and what is sent for them is the default."""
    form(page, at)
    page.select_option("#input-method", "full")
    page.wait_for_selector("#field-rank", state="hidden")
    page.wait_for_selector("text=840.0 MB")  # optimizer state of every weight: preflight followed
    page.select_option("#input-method", "lora")
    page.wait_for_selector("#field-rank")


def test_a_preset_fills_the_form_and_keeps_the_name(page: Page, at: str) -> None:
    """Choosing a preset changes what it speaks of and nothing else."""
    form(page, at)
    page.fill("#input-name", "robin")
    page.check("input[name=preset][value=gentle]")
    page.wait_for_function("document.querySelector('#input-epochs').value === '24'")
    assert page.input_value("#input-name") == "robin"
    assert page.is_checked("input[name=preset][value=gentle]")


def test_a_refusal_offers_the_change_that_mends_it(page: Page, at: str) -> None:
    """One press puts the change into the form, and preflight agrees."""
    form(page, at)
    type_into(page, "batch_tokens", "6000")
    page.wait_for_selector("#field-batch_tokens.em-refused")
    page.click("[data-change=batch_tokens]")
    assert page.input_value("#input-batch_tokens") == "2500"
    page.wait_for_selector("[data-level=ok]")
    page.wait_for_selector("#field-batch_tokens:not(.em-refused)")


def test_the_command_can_be_copied(page: Page, at: str) -> None:
    """What will run can be taken to a terminal."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    form(page, at)
    page.locator("[data-copy]").first.click()
    page.wait_for_selector("[data-copy]:text-is('Copied')")
    assert page.evaluate("navigator.clipboard.readText()").startswith("python -m engine train")


def test_a_failed_run_is_duplicated_with_its_mend(page: Page, at: str) -> None:
    """The card's settings are in the form, one press away from a start."""
    opened(page, f"{at}/runs?run=wren-001")
    page.click("[data-mended]")
    page.wait_for_function("document.querySelector('#input-batch_tokens').value === '2500'")
    assert page.is_checked("#input-gradient_checkpointing")
    assert page.input_value("#input-name") == "wren"


def test_a_run_is_started_with_a_sweep_of_its_new_checkpoints(page: Page, at: str, busy: FakeStudio) -> None:
    """What each checkpoint will be stands beside the form before the start; the run's page then says it, and where to
    hear it. A choice of another preset keeps what was asked.
    """
    form(page, at)
    page.wait_for_selector("#input-sweep_scales", state="hidden")
    page.check("#input-sweep_on")
    page.fill("#input-sweep_scales", "0.3, 0.6")
    page.wait_for_selector(".em-runs-check:has-text('6 clips')")
    page.check("input[name=preset][value=gentle]")
    page.wait_for_function("document.querySelector('#input-epochs').value === '24'")
    assert page.is_checked("#input-sweep_on")
    assert page.input_value("#input-sweep_scales") == "0.3, 0.6"
    page.click("#start")
    page.wait_for_function("document.querySelector('[data-view=run]')")
    kept = busy.automatic_sweeps()[-1]
    assert (kept.scales, kept.script) == ((0.3, 0.6), "english-brief")
    busy.stop_sweeping_new(kept.run_id)


# ---- the queue
def test_the_queue_is_reordered_and_cancelled_from_the_list(page: Page, at: str, busy: FakeStudio) -> None:
    """A move is on the disk and in the list; what is cancelled is out of it and still there."""
    opened(page, f"{at}/runs?run=lark-001")
    page.click("[data-run=lark-002][data-act=move]:not([disabled])")
    page.wait_for_function("document.querySelector('ol [data-open]').dataset.open === 'lark-002'")
    assert [r.id for r in busy.queue()] == ["lark-002", "wren-002"]
    page.click("[data-run=wren-002][data-act=cancel]")
    page.wait_for_function("document.querySelectorAll('ol [data-open]').length === 1")
    assert busy.run("wren-002").state is RunState.STOPPED


# ---- a run
def test_what_the_trainer_tells_is_on_the_page_without_a_reload(page: Page, at: str, busy: FakeStudio) -> None:
    """A step is read out and drawn, in the plot whose legend has signs too; an alert hangs on the curve."""
    opened(page, f"{at}/runs?run=lark-001")
    page.wait_for_selector("[data-readout]:has-text('step 150')")
    norms = page.locator("[data-plot=grad] > svg path.em-line-path").first
    norms.scroll_into_view_if_needed()
    drawn = norms.get_attribute("d")
    busy.tell_step("lark-001", 151)
    page.wait_for_selector("[data-readout]:has-text('step 151')")
    page.wait_for_function(
        "d => document.querySelector('[data-plot=grad] > svg path.em-line-path').getAttribute('d') !== d", arg=drawn
    )
    busy.tell("lark-001", "alert", monitor="drift", step=151, epoch=4, text="Speech grows faster.", stops=False)
    page.wait_for_selector("[data-told='step 151: Speech grows faster.']")
    page.wait_for_selector(".em-alerts:has-text('Speech grows faster.')")


def test_a_run_says_what_becomes_of_its_new_checkpoints(page: Page, at: str, busy: FakeStudio) -> None:
    """While they are left alone, where that can be changed; else what is rendered of each, and where to hear it."""
    opened(page, f"{at}/runs?run=lark-001")
    page.wait_for_selector("[data-piece=swept] a[href='/sweep?run=lark-001#new-checkpoints']")
    busy.sweep_new_checkpoints(
        AutomaticSweep(run_id="lark-001", scales=(0.3,), trouble="Swept without a control: gone.")
    )
    busy.tell("lark-001", "alert", monitor="drift", step=150, epoch=4, text="Speech grows slower.", stops=False)
    page.wait_for_selector("[data-piece=swept]:has-text('3 clips')")
    assert "Swept without a control: gone." in page.inner_text("[data-piece=swept]")
    assert page.get_attribute("[data-piece=swept] .em-button", "href") == "/sweep?run=lark-001"
    busy.stop_sweeping_new("lark-001")


def test_curves_are_read_by_keys(page: Page, at: str) -> None:
    """Who cannot point moves the cursor with arrow keys and hears the value."""
    opened(page, f"{at}/runs?run=robin-002")
    plot = page.locator("[data-plot=loss] svg")
    page.wait_for_selector("[data-readout]:has-text('step 240')")
    plot.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[data-readout]:has-text('step 2,')")
    assert plot.get_attribute("aria-valuenow") == "2"
    assert "train" in str(plot.get_attribute("aria-valuetext"))


def test_a_checkpoint_on_the_curve_leads_to_its_sweep(page: Page, at: str) -> None:
    """A mark has a name that is read out, and a place to go."""
    opened(page, f"{at}/runs?run=robin-002")
    mark = page.locator("a.em-checkpoint-mark").first
    mark.wait_for()
    assert mark.get_attribute("href") == "/sweep?run=robin-002"
    assert "epoch 1" in str(mark.get_attribute("aria-label"))
    assert page.locator("a.em-checkpoint-mark").count() == 6
    assert page.locator(".em-plot-main .em-resume").count() == 1


def test_stopping_at_once_asks_first(page: Page, at: str, busy: FakeStudio) -> None:
    """A slip of the hand loses no steps."""
    opened(page, f"{at}/runs?run=lark-001")
    page.click("[data-act=kill]")
    page.click("dialog button:text('Leave it running')")
    page.wait_for_selector("dialog", state="detached")
    assert busy.run("lark-001").state is RunState.RUNNING


# ---- comparison
def test_runs_are_laid_over_one_another_and_the_address_says_so(page: Page, at: str) -> None:
    """What is seen can be sent to a colleague: runs and axis are in the address, and it opens the same."""
    opened(page, f"{at}/runs?run=robin-002")
    page.check("[data-compare=robin-001]")
    page.wait_for_selector("[data-drop=robin-001]")
    page.click("[data-by=epoch]")
    assert page.url.endswith("/runs?run=robin-002&compare=robin-001&by=epoch")
    page.reload()
    page.wait_for_selector("[data-legend]:has-text('robin-001')")
    assert page.get_attribute("[data-by=epoch]", "aria-pressed") == "true"
    signs = page.locator("[data-legend] .em-sign")
    assert signs.nth(0).inner_html().replace("em-c1", "") != signs.nth(1).inner_html().replace("em-c2", "")
    page.click("[data-drop=robin-001]")
    page.wait_for_selector("[data-drop=robin-001]", state="detached")


# ---- living on
def test_a_hidden_tab_stops_asking(page: Page, at: str, busy: FakeStudio) -> None:
    """Tabs in the background cost nothing; one that comes to the front catches up."""
    opened(page, f"{at}/runs?run=robin-001")
    page.wait_for_selector("[data-readout]:has-text('step 240')")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(1500)
    busy.tell_step("robin-001", 241)
    page.wait_for_timeout(1500)
    assert "step 240" in page.inner_text("[data-readout]")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_selector("[data-readout]:has-text('step 241')")


def test_after_a_restart_of_the_app_the_page_goes_on(browser: Browser, tmp_path: Path) -> None:
    """The page says that nobody answers, asks again by itself, and goes on from the last step that it has."""
    studio = FakeStudio(Workspace(tmp_path))
    dataset = studio.prepare(studio.make_demo_data(), name="robin")
    config = replace(studio.default_config(), name="lark", dataset=dataset.id)
    run = studio.add_run("lark", config, RunState.RUNNING, step=5)
    context = browser.new_context()
    page = context.new_page()
    with served(pages.app(studio)) as address:  # type: ignore[arg-type]
        opened(page, f"{address}/runs?run={run.id}")
        page.wait_for_selector("[data-readout]:has-text('step 5')")
    page.wait_for_selector("[data-trouble]:has-text('asks again by itself')")
    studio.tell_step(run.id, 6)
    with served(pages.app(studio), port=int(address.rpartition(":")[2])):  # type: ignore[arg-type]
        page.wait_for_selector("[data-readout]:has-text('step 6')")
        page.wait_for_selector("[data-trouble]", state="hidden")
    context.close()


def test_more_tabs_than_a_browser_has_connections(browser: Browser, at: str) -> None:
    """The eighth tab of a browser opens and lives as the first: tabs share one question to the app."""
    context = browser.new_context()
    tabs = []
    for _ in range(8):
        tab = context.new_page()
        tabs.append(opened(tab, f"{at}/runs?run=robin-002"))
    for tab in tabs:
        tab.wait_for_selector("[data-readout]:has-text('step 240')")
    context.close()


# ---- while answers are on their way
def presets_held_back(page: Page) -> HeldBack:
    """Gradio's queue carries what is asked for: the answers come by one stream, so what is held back is the asking."""
    return HeldBack(page, "/gradio_api/queue/join")


def test_a_preset_replaces_what_was_typed_before_it_alone(page: Page, at: str) -> None:
    """Its settings are in the form, also where they are those of the preset before; what is typed meanwhile stays."""
    form(page, at)
    usual = page.input_value("#input-batch_tokens")
    type_into(page, "batch_tokens", "1234")
    page.wait_for_selector(f"{MARK.format('batch_tokens')}:has-text('Preset: {usual}')")
    back = presets_held_back(page)
    back.on = True
    page.check("input[name=preset][value=gentle]")
    back.wait(1)
    page.fill("#input-name", "robn")
    page.keyboard.press("ArrowLeft")
    back.let_all_go()
    page.wait_for_function("document.querySelector('#input-epochs').value === '24'")
    assert page.input_value("#input-batch_tokens") == usual
    page.wait_for_function("document.activeElement.id === 'input-name'")
    page.keyboard.type("i")
    assert page.input_value("#input-name") == "robin"


def test_a_start_waits_for_the_preset_that_was_chosen(page: Page, at: str, busy: FakeStudio) -> None:
    """A run never starts with the settings of the preset before."""
    form(page, at)
    page.fill("#input-name", "patient")
    back = presets_held_back(page)
    back.on = True
    page.check("input[name=preset][value=gentle]")
    back.wait(1)
    page.click("#start")
    page.wait_for_selector("[data-submit-note]:has-text('It starts once')")
    back.let_all_go()
    wait_until(page, lambda: any(run.config.name == "patient" for run in busy.runs()))
    assert [run.config.epochs for run in busy.runs() if run.config.name == "patient"] == [24]


def test_no_press_is_lost_while_another_act_is_on_its_way(page: Page, at: str, busy: FakeStudio) -> None:
    """Two runs that wait are cancelled by two presses, however long the first one takes."""
    first, second = (busy.add_run(name, busy.default_config(), RunState.QUEUED, step=0) for name in ("swift", "crane"))
    opened(page, f"{at}/runs?run=lark-001")
    page.wait_for_selector(f"[data-run={second.id}][data-act=cancel]")
    back = presets_held_back(page)
    back.on = True
    page.click(f"[data-run={first.id}][data-act=cancel]")
    page.click(f"[data-run={second.id}][data-act=cancel]")
    back.wait(2)
    back.let_all_go()
    wait_until(page, lambda: {busy.run(run.id).state for run in (first, second)} == {RunState.STOPPED})
