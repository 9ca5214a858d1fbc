"""The Data page in a browser: what somebody does there from the path of a folder to a prepared dataset."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.jobs import Report
from engine.types import Action
from engine.workspace import Workspace
from tests.ui.conftest import served
from tests.ui.fake_studio import FakeStudio
from tests.ui.held_back import HeldBack
from tests.ui.watched import wait_until
from ui import pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

FEW = 3_000  # elements of a page that stays quick, however large the set
PHONE = {"width": 390, "height": 844}
THUMB_PX = 44


@pytest.fixture(name="held", scope="module")
def _held(tmp_path_factory: pytest.TempPathFactory) -> FakeStudio:
    return FakeStudio(Workspace(tmp_path_factory.mktemp("desk")))


@pytest.fixture(name="at", scope="module")
def _at(held: FakeStudio) -> Iterator[str]:
    with served(pages.app(held)) as address:  # type: ignore[arg-type]
        yield address


@pytest.fixture(name="faults")
def _faults(page: Page) -> Iterator[list[str]]:
    """What a page's scripts throw; a test fails when there is something."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert found == []


def audited(held: FakeStudio, rows: int = 90) -> str:
    draft = held.open_rows(rows, name="robin")
    held.audited(draft.id)
    return draft.id


def opened(page: Page, at: str, draft: str, more: str = "") -> None:
    page.goto(f"{at}/?draft={draft}{more}")
    page.wait_for_selector("[data-rowlist], canvas, [data-form]")


def rows_of(page: Page) -> list[str]:
    return page.locator("tr[data-row]").evaluate_all("rows => rows.map((row) => row.dataset.row)")


def test_from_a_path_to_a_dataset(page: Page, held: FakeStudio, at: str, tmp_path: Path, faults: list[str]) -> None:
    """Open, audit, read the verdict, repair what is proposed, see what preparing does, prepare, go on."""
    page.goto(at)
    page.get_by_label("Path").fill("/no/such/folder")
    page.get_by_role("button", name="Open", exact=True).click()
    page.wait_for_selector(".em-toast[role=alert]:has-text('There is nothing at')")
    page.get_by_label("Path").fill(str(tmp_path))
    page.get_by_label("Name").fill("wren")
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("button", name="Audit").click()
    page.wait_for_selector("text=5 rows of 91 have an error")
    page.wait_for_selector("text=36 %")
    page.get_by_label("Rows a step").fill("1")
    page.wait_for_selector("[data-tainted]:text-is('5.5 %')")
    page.get_by_label("Rows a step").fill("8")
    page.get_by_label("Select this page").check()
    page.get_by_role("button", name="Repair as proposed").click()
    page.wait_for_selector("text=rows dropped")
    page.get_by_role("tab", name="Prepare").click()
    page.wait_for_selector(".em-plan:has-text('87')")
    page.get_by_role("button", name="Prepare the dataset").click()
    page.wait_for_selector("text=wren is ready")
    assert page.get_by_role("link", name="Start a run").get_attribute("href") == "/runs?dataset=wren"


def test_filters_are_in_the_address_and_survive_a_reload(
    page: Page, held: FakeStudio, at: str, faults: list[str]
) -> None:
    """What is filtered, open and looked at is the same after a reload."""
    opened(page, at, audited(held))
    page.get_by_label("Check").select_option("tags")
    page.wait_for_function("document.querySelectorAll('tr[data-row]').length === 1")
    page.locator("[data-open-row=r023]").click()
    page.wait_for_selector("[data-card=r023]")
    page.reload()
    page.wait_for_selector("[data-card=r023]")
    assert rows_of(page) == ["r023"]
    page.get_by_label("Check").select_option("")
    page.get_by_placeholder("Search texts and rows").fill("greasy")
    page.wait_for_function("document.querySelectorAll('tr[data-row]').length > 10")
    assert page.evaluate("document.activeElement.dataset.filter") == "search"


def test_rows_are_selected_over_pages_and_decided_together(
    page: Page, held: FakeStudio, at: str, faults: list[str]
) -> None:
    """All of a filter is more than a page of it; keeping asks for a name, and what was decided is taken back."""
    draft = audited(held)
    opened(page, at, draft, "&everything=1&order=source")
    page.get_by_label("Select this page").check()
    page.wait_for_selector("text=50 rows selected")
    page.get_by_role("button", name=re.compile("Select all 91")).click()
    page.locator("[data-bulk] [data-name]").fill("Ana")
    page.get_by_role("button", name="Keep", exact=True).click()
    page.wait_for_selector("text=90 rows kept")
    assert {d[0].by for d in held.decisions(draft).values()} == {"Ana"}
    page.locator("[data-select=r001]").check()
    page.get_by_role("button", name="Take back").click()
    page.wait_for_selector("text=1 row: decisions taken back")
    assert "r001" not in held.decisions(draft)
    assert len(held.decisions(draft)) == 89


def test_texts_are_typed_one_row_after_the_other(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """Ctrl and Enter save, open the next row, play it and stay in the field; going on by arrow loses nothing."""
    draft = audited(held)
    opened(page, at, draft, "&everything=1&order=source&row=r030")
    page.get_by_label("Text", exact=True).click()
    page.get_by_label("Text", exact=True).fill("First.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("[data-card=r031]")
    page.wait_for_selector(".em-play[aria-pressed=true]")
    page.wait_for_function("document.activeElement.matches('[data-text]')")
    page.get_by_label("Text", exact=True).fill("Second.")
    page.keyboard.press("Alt+ArrowDown")
    page.wait_for_selector("[data-card=r032]")
    page.keyboard.press("Alt+ArrowUp")
    page.wait_for_selector("[data-card=r031]")
    assert page.get_by_label("Text", exact=True).input_value() == "Second."
    assert {r: d[0].text for r, d in held.decisions(draft).items()} == {"r030": "First.", "r031": "Second."}


def test_what_is_being_typed_outlives_everything_around_it(
    page: Page, held: FakeStudio, at: str, faults: list[str]
) -> None:
    """An audit that ends, another view, a bulk decision: none of them takes the text or the cursor away."""
    go_on: list[bool] = []

    def hold(report: Report) -> None:
        while not go_on:
            time.sleep(0.01)

    held.hold = hold
    try:
        draft = held.open_rows(90, name="robin").id
        opened(page, at, draft, "&row=r030")
        page.get_by_role("button", name="Audit").click()
        page.wait_for_selector(".em-jobline")
        page.get_by_label("Text", exact=True).fill("While it runs.")
        go_on.append(True)
        page.wait_for_selector("[data-p]")
        page.wait_for_selector("[data-card=r030]")
    finally:
        go_on.append(True)
        held.hold = lambda report: None
    assert page.get_by_label("Text", exact=True).input_value() == "While it runs."
    page.wait_for_function("document.activeElement.matches('[data-text]')")
    page.get_by_label("Text", exact=True).fill("Before a decision.")
    page.locator("[data-select=r055]").check()
    page.locator("[data-bulk-act=drop]").click()
    page.wait_for_selector("text=1 row dropped")
    page.get_by_label("Text", exact=True).fill("Before another view.")
    page.get_by_role("tab", name="Plots").click()
    page.wait_for_selector("canvas")
    wait_until(page, lambda: held.decisions(draft)["r030"][0].text == "Before another view.")
    assert page.get_by_label("Text", exact=True).input_value() == "Before another view."


def test_what_is_typed_while_a_row_is_drawn_anew_stays(
    page: Page, held: FakeStudio, at: str, faults: list[str]
) -> None:
    """Text, pasted lines and a name that are written between asking for a row and its answer are not overwritten."""
    draft = audited(held)
    back = HeldBack(page, r"/row\?")
    opened(page, at, draft, "&everything=1&order=source&row=r055")
    page.wait_for_selector("[data-card=r055]")
    back.on = True
    page.locator("[data-select=r030]").check()
    page.locator("[data-bulk-act=drop]").click()
    back.wait(1)
    page.get_by_text("Paste many texts").click()
    page.get_by_label("Texts, a line a row").fill("One.\nTwo.")
    page.get_by_label("Text", exact=True).fill("Typed meanwhile.")
    page.keyboard.press("Home")
    back.let_go(0)
    assert page.get_by_label("Texts, a line a row").input_value() == "One.\nTwo."
    assert page.get_by_label("Text", exact=True).input_value() == "Typed meanwhile."
    page.keyboard.type("Still ")
    assert page.get_by_label("Text", exact=True).input_value() == "Still Typed meanwhile."


def test_what_is_typed_while_another_row_comes_is_saved(
    page: Page, held: FakeStudio, at: str, faults: list[str]
) -> None:
    """A text belongs to the row that it was typed under, also when the next one was already asked for."""
    draft = audited(held)
    back = HeldBack(page, r"/row\?")
    opened(page, at, draft, "&everything=1&order=source&row=r030")
    page.wait_for_selector("[data-card=r030]")
    back.on = True
    page.locator("[data-open-row=r031]").first.click()
    back.wait(1)
    page.get_by_label("Text", exact=True).fill("Of the first.")
    back.let_go(0)
    page.wait_for_selector("[data-card=r031]")
    assert {r: d[0].text for r, d in held.decisions(draft).items()} == {"r030": "Of the first."}


def test_the_row_asked_for_last_is_shown(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """An answer that comes late does not take the page back to a row that was left."""
    draft = audited(held)
    back = HeldBack(page, r"/row\?")
    opened(page, at, draft, "&everything=1&order=source&row=r030")
    page.wait_for_selector("[data-card=r030]")
    back.on = True
    for row in ("r031", "r032"):
        page.locator(f"[data-open-row={row}]").first.click()
    back.wait(2)
    back.let_go(1)
    page.wait_for_selector("[data-card=r032]")
    back.let_go(0)
    assert page.locator("[data-card]").get_attribute("data-card") == "r032"
    assert "row=r032" in page.url


def test_many_texts_are_pasted(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """Lines fill the rows from the open one on."""
    draft = audited(held)
    opened(page, at, draft, "&everything=1&order=source&row=r030")
    page.get_by_text("Paste many texts").click()
    page.get_by_label("Texts, a line a row").fill("One.\nTwo.\nThree.")
    page.get_by_role("button", name="Fill in").click()
    page.wait_for_selector("text=3 texts filled in")
    assert sorted(held.decisions(draft)) == ["r030", "r031", "r032"]


def test_a_finding_is_repaired_where_it_is_read(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """One click on a finding's mend decides it; the row's state follows in the table."""
    draft = audited(held)
    opened(page, at, draft, "&row=r023")
    page.get_by_role("button", name="Strip tags").click()
    page.wait_for_selector("tr[data-row=r023] .em-c-state:has-text('tags stripped')")
    page.wait_for_selector("[data-card=r023] .em-done")
    assert [d.action for d in held.decisions(draft)["r023"]] == [Action.STRIP_TAGS]
    page.keyboard.press("Escape")
    page.wait_for_selector("[data-card]", state="detached")


def test_plots_lead_to_rows(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """A bar filters the table, a point opens its row; both by keyboard as well as by pointer."""
    opened(page, at, audited(held), "&tab=plots")
    scatter = page.locator("[data-scatter]")
    scatter.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".em-tip:has-text('characters')")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-card]")
    page.locator("[data-bars='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    told = page.locator(".em-low .em-tip").first.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-filter=measure]")
    assert len(rows_of(page)) == int(re.search(r"(\d+) rows?", told)[1])  # type: ignore[index]


def test_a_click_on_a_point_opens_the_row_under_it(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """What the pointer is told is what opens."""
    opened(page, at, audited(held), "&tab=plots")
    box = page.locator("[data-scatter]").bounding_box()
    assert box
    tip = page.locator(".em-scatter .em-tip")
    for share in (0.2, 0.3, 0.4, 0.5, 0.6):
        for down in range(20, int(box["height"]) - 40, 8):
            page.mouse.move(box["x"] + share * box["width"], box["y"] + down)
            if tip.is_visible():
                break
        if tip.is_visible():
            break
    row = tip.inner_text().partition(":")[0]
    page.mouse.down()
    page.mouse.up()
    page.wait_for_selector(f"[data-card={row}]")


def test_the_page_stays_usable_while_a_job_runs(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """A bar with rows and a way to cancel; rows open meanwhile; a reload finds the job again."""

    def hold(report: Report) -> None:
        report(30, 90, "listening")
        while not report.cancelled() and held.hold is hold:
            time.sleep(0.01)

    held.hold = hold
    try:
        opened(page, at, held.open_rows(90, name="robin").id)
        page.get_by_role("button", name="Audit").click()
        page.wait_for_selector("text=Auditing: 30 of 90")
        assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "30"
        page.locator("[data-open-row=r001]").click()
        page.wait_for_selector("[data-card=r001]")
        page.reload()
        page.wait_for_selector("text=Auditing: 30 of 90")
        page.get_by_role("button", name="Cancel").click()
        page.wait_for_selector("text=Auditing: cancelled")
    finally:
        held.hold = lambda report: None


def test_ten_thousand_rows_are_a_small_page(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """A set of 10,000 rows with 30,000 findings: fifty rows in the page, every row in the plots."""
    draft = audited(held, 10_000)
    opened(page, at, draft)
    assert len(rows_of(page)) == 50
    assert page.evaluate("document.querySelectorAll('*').length") < FEW
    page.get_by_label("Page", exact=True).fill("200")
    page.get_by_label("Page", exact=True).press("Enter")
    page.wait_for_selector("text=9,951 to 10,000 of 10,001 rows")
    page.get_by_role("tab", name="Plots").click()
    page.wait_for_selector("text=10,000 rows. A point")
    assert page.evaluate("document.querySelectorAll('*').length") < FEW


def test_files_are_uploaded_with_their_folders(
    page: Page, held: FakeStudio, at: str, tmp_path: Path, faults: list[str]
) -> None:
    """A chosen folder goes up file by file and becomes a draft."""
    folder = tmp_path / "wren"
    (folder / "clips").mkdir(parents=True)
    for name in ("a.wav", "clips/b.wav"):
        (folder / name).write_bytes(b"sound")
    seen: list[list[str]] = []
    keep = held.open_upload
    held.open_upload = lambda files, **more: seen.append([f.name for f in files]) or keep(files, **more)  # type: ignore
    page.goto(at)
    page.get_by_text("Upload", exact=True).click()
    page.locator("[name=folder]").set_input_files(folder)
    page.wait_for_selector("text=2 files, 10 bytes")
    page.get_by_role("button", name="Open", exact=True).click()
    page.wait_for_selector("text=not audited yet")
    assert seen == [["wren.zip"]]


def test_a_long_recording_is_cut_and_its_rows_are_shown(
    page: Page, held: FakeStudio, at: str, tmp_path: Path, faults: list[str]
) -> None:
    """The rows of a sliced recording are listed before any audit, so that their texts can be typed."""
    tape = tmp_path / "tape.wav"
    tape.write_bytes(b"sound")
    page.goto(at)
    page.get_by_label("Path").fill(str(tape))
    page.get_by_label("One long recording").check()
    page.wait_for_selector("text=Shortest, s")
    page.get_by_role("button", name="Open", exact=True).click()
    page.wait_for_selector("text=12 rows, not audited yet")
    assert len(rows_of(page)) == 12


def test_the_demo_is_ready_in_one_click(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """The link of every empty page makes, audits and prepares the demo voice, and offers the faulty one."""
    page.goto(f"{at}/?demo=1")
    page.wait_for_selector("text=demo is ready")
    page.get_by_role("button", name="Open it").click()
    page.wait_for_selector("h1:text-is('demo with faults')")


def test_a_draft_is_discarded_only_when_asked_twice(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """One click on Discard asks; a second one does it."""
    draft = audited(held)
    page.goto(at)
    button = page.locator(f"[data-draft='{draft}']")
    button.click()
    page.wait_for_selector("text=Really discard")
    assert any(d.id == draft for d in held.drafts())
    button.click()
    page.wait_for_selector("text=The source is as it was")
    assert all(d.id != draft for d in held.drafts())


@pytest.fixture(name="phone")
def _phone(browser: Browser, at: str) -> Iterator[Page]:
    context = browser.new_context(viewport=PHONE, has_touch=True, base_url=at)  # type: ignore[arg-type]
    page = context.new_page()
    yield page
    context.close()


@pytest.mark.parametrize("more", ["", "&row=r023", "&tab=plots", "&tab=prepare"])
def test_on_a_phone_nothing_is_cut_off_and_a_thumb_hits_everything(held: FakeStudio, phone: Page, more: str) -> None:
    """At 390 px no page scrolls sideways, and what can be pressed is 44 px high, or a word within a text."""
    opened(phone, "", audited(held), more)
    if "row" in more:
        phone.wait_for_selector("[data-card]")
    phone.wait_for_timeout(300)
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    wide = "[...document.querySelectorAll('.em-aside, .em-card')].filter((e) => e.scrollWidth > e.clientWidth).length"
    assert phone.evaluate(wide) == 0
    small = phone.evaluate(
        """least => [...document.querySelectorAll(
            ".em-desk button, .em-desk select, .em-desk input, .em-desk a.em-button")]
        .filter((e) => e.offsetParent && !e.matches(".em-link, [type=checkbox], [type=radio], [type=file]"))
        .filter((e) => e.getBoundingClientRect().height < least - 0.5).map((e) => e.outerHTML.slice(0, 120))""",
        THUMB_PX,
    )
    assert small == []


def test_every_control_has_a_name(page: Page, held: FakeStudio, at: str, faults: list[str]) -> None:
    """A screen reader hears what each button, field and plot is."""
    for more in ("", "&row=r023", "&tab=plots", "&tab=prepare"):
        opened(page, at, audited(held), more)
        page.wait_for_timeout(200)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll(
                ".em-desk button, .em-desk select, .em-desk input, .em-desk textarea, .em-desk canvas")]
            .filter((e) => e.offsetParent && !(e.textContent.trim() || e.getAttribute("aria-label")
                || (e.labels && [...e.labels].some((l) => l.textContent.trim()))))
            .map((e) => e.outerHTML.slice(0, 120))"""
        )
        assert nameless == []
