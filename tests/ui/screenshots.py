"""Takes the pictures of the documentation: `python -m tests.ui.screenshots [HOME] [NAME ...]`.

Over a workspace when one is given, else over the tests' studio with its made-up figures. Pictures go to `docs/images`:
every page wide and light, some dark, Listen on a phone. With names only those pictures are taken.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

from engine.types import Choice, Score, Tier, TrialKind
from engine.workspace import Workspace
from tests.ui import fake_studio, fake_training, sitting
from tests.ui.conftest import LAUNCH, served
from tests.ui.fake_studio import FakeStudio
from tests.ui.watched import WITHIN_MS
from tools import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDE, PHONE = (1280, 800), (390, 844)
SETTLED_MS = 2500
PAGES = ("data", "runs", "sweep", "gate", "voices")
Picture = tuple[str, str, tuple[int, int], str]


def take(
    chromium: Browser, address: str, path: str, name: str, *, size: tuple[int, int] = WIDE, theme: str = "light"
) -> None:
    """One picture of one page, of what a window shows."""
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(WITHIN_MS)
    page.goto(address + path)
    page.wait_for_selector(".em-header")
    page.wait_for_timeout(SETTLED_MS)
    _show(page, path)
    page.screenshot(path=IMAGES / f"{name}.png")
    context.close()


def _show(page: Page, path: str) -> None:
    """Bring what matters into view."""
    if path.startswith("/sweep"):
        page.locator("[data-cell]").last.click()  # the last checkpoint at the highest scale: what the marks are for
        page.locator("[data-take-of]", has_text="medium").first.click()
        page.wait_for_selector(".em-clip [data-at]")
        if "form" in path:
            page.click("[data-act=ask]")
            page.wait_for_selector("[data-cost] b")
    if path.startswith("/gate"):
        cells = page.locator(".em-matrix [data-cell]:has(.em-torn), .em-matrix [data-cell]:has(.em-fail)")
        told = page.locator(".em-matrix [data-cell$='|long']:has-text('2/2')")
        (told if "#evidence" in path and told.count() else cells).first.dispatch_event("click")
        page.wait_for_selector(".em-evidence")
        if "#evidence" in path:
            page.evaluate("document.querySelector('.em-evidence').scrollIntoView()")
            page.evaluate("window.scrollBy(0, -260)")
        if "#rules" in path:
            page.locator("#change-rules button").first.click()
            page.locator("#reviewers-long input").fill("2")
            page.locator("#try-rules").click()
            page.wait_for_selector("text=would change")
            page.evaluate("document.querySelector('#change-rules').scrollIntoView()")
    if path.startswith("/tests"):
        _plan_a_test(page)
    if "draft=" in path:
        page.wait_for_selector("canvas" if "tab=plots" in path else "[data-card]")
    if "session" in path:
        _sit(page)
    page.wait_for_timeout(SETTLED_MS)


def _sit(page: Page) -> None:
    sitting.begin(page)
    page.keyboard.press("1")
    if page.locator("[data-rating]").count():
        for label, rating in (("A", 62), ("B", 35), ("C", 78), ("D", 51)):
            page.locator(f"[data-rating={label}]").fill(str(rating))
        page.keyboard.press("o")


def _plan_a_test(page: Page) -> None:
    page.locator("#test-name input").fill("epochs 1 and 6")
    page.locator("#test-reviewers input").fill("Ana, Ben")
    page.locator("#test-outline").click()
    page.wait_for_selector("text=Nothing is opened yet")


def second_opinion(studio: FakeStudio) -> None:
    """What a gate looks like in use: a reviewer who hears some things otherwise, and flags that were answered to."""
    heard = [row for row in studio.matrix() if row.tiers[Tier.LONG].passes and not row.candidate.is_base][:4]
    for row in heard:
        clip = studio.evidence(row.candidate, Tier.LONG)[0].clip
        score = Score(
            clip_id=clip.id, screener="words", version=1, value=2.0, unit="%", passed=False, explanation="",
            reasons={"dropped word": (clip.text.split()[3],)},
        )  # fmt: skip
        studio.listening.store.add_scores([score])
    session = studio.open_gate_session([row.candidate for row in heard], reviewer="Ben")
    for number in range(2 * len(heard)):
        view = studio.next_trial(session.id)
        fails = number % 3 == 1
        reasons = ["too fast"] if fails else []
        studio.answer(view.trial_id, Choice.FAIL if fails else Choice.PASS, reasons=reasons)
        while (asked := studio.flag_question(session.id)) is not None:
            studio.answer_flag(session.id, asked.trial.trial_id, asked.choices[1][0])


def open_sitting(studio: Any) -> str:
    """A sitting with something to answer; opened from what was rendered when there is none."""
    for session in studio.sessions():
        done, total = studio.session_progress(session.id)
        if done < total:
            return str(session.id)
    candidates = [c for c in dict.fromkeys(clip.candidate for clip in studio.clips()) if not c.is_base]
    return str(studio.open_preference_session([(candidates[0], candidates[-1])], reviewer="Ana").id)


def pictures(studio: Any) -> list[Picture]:
    """Every picture: its name, its page, the window's size, light or dark."""
    spoken = Counter(
        str(c.candidate.checkpoint_id).partition("@")[0] for c in studio.clips() if not c.candidate.is_base
    )
    swept = spoken.most_common(1)[0][0] if spoken else ""
    at = {"data": "/", "sweep": f"/sweep?run={swept}"}
    pages = [(name, at.get(name, f"/{name}"), WIDE, "light") for name in PAGES if name != "runs"]
    pages += of_runs(studio)
    found = [
        *pages,
        *of_the_desk(studio),
        ("gate_dark", "/gate", WIDE, "dark"),
        ("gate_phone", "/gate", PHONE, "light"),
        ("gate_evidence", "/gate#evidence", WIDE, "light"),
        ("gate_rules", "/gate#rules", WIDE, "light"),
        ("sweep_dark", at["sweep"], WIDE, "dark"),
        ("sweep_form", f"{at['sweep']}&form", WIDE, "light"),
        ("sweep_phone", at["sweep"], PHONE, "light"),
    ]
    if studio.clips():
        found += [("tests_plan", planned_test(studio), WIDE, "light"), *of_listening(studio)]
    return found


def planned_test(studio: Any) -> str:
    """The Tests page with two candidates chosen for an A/B."""
    known = [each.id for each in studio.rendered_candidates() if not each.is_base]
    return f"/tests?kind=preference&candidates={known[0]},{known[-1]}"


def of_listening(studio: Any) -> list[Picture]:
    """Two sides, wide and on a phone; over the tests' studio several clips on sliders, and the page in Chinese too."""
    opened = f"/listen/?session={open_sitting(studio)}"
    pictures = [("listen", opened, WIDE, "light"), ("listen_phone", opened, PHONE, "dark")]
    if isinstance(studio, fake_studio.FakeStudio):
        several = sitting.of_kind(studio, TrialKind.MULTI).id
        compared = sitting.of_kind(studio, TrialKind.CMOS).id
        pictures += [
            ("listen_multi", f"/listen/?session={several}", WIDE, "dark"),
            ("listen_chinese", f"/listen/?session={compared}&lang=zh", PHONE, "light"),
        ]
    return pictures


def of_runs(studio: Any) -> list[Picture]:
    """The form; the newest complete run, alone and with the others laid over it; the newest that failed."""
    found = studio.runs()
    complete = [r.id for r in found if r.state == "completed"]
    failed = next((r.id for r in found if r.state == "failed"), "")
    dataset = next((d.id for d in studio.datasets()), "")
    pictures = [("runs_form", f"/runs?dataset={dataset}", WIDE, "light")]
    if complete:
        own = f"/runs?run={complete[0]}"
        pictures += [("runs", own, WIDE, "light"), ("runs_phone", own, PHONE, "dark")]
    if len(complete) > 1:
        pictures += [("runs_compared", f"/runs?run={complete[0]}&compare={','.join(complete[1:6])}", WIDE, "dark")]
    if failed:
        pictures += [("runs_failed", f"/runs?run={failed}", WIDE, "light")]
    return pictures


def of_the_desk(studio: Any) -> list[Picture]:
    """The newest audited draft: its first error opened, its plots, and the same on a phone; none without a draft."""
    draft = next((d for d in studio.drafts() if d.audited), None)
    if draft is None:
        return []
    row = next((f.row for f in studio.report(draft.id).findings if f.check == "tags"), "")
    at = f"/?draft={draft.id}"
    return [
        ("data_row", f"{at}&row={row}", WIDE, "light"),
        ("data_plots", f"{at}&tab=plots", WIDE, "dark"),
        ("data_phone", f"{at}&row={row}", PHONE, "light"),
    ]


def main(arguments: list[str]) -> None:
    """Serve, take every picture, end."""
    from ui import pages

    IMAGES.mkdir(parents=True, exist_ok=True)
    home, names = (
        (Path(arguments[0]), arguments[1:]) if arguments and Path(arguments[0]).is_dir() else (None, arguments)
    )
    studio: Any
    if home:
        from engine.studio import Studio

        studio = Studio(Workspace(home.resolve()))
    else:
        studio = fake_studio.with_everything(Path(tempfile.mkdtemp()))
        fake_training.add_runs(studio, studio.datasets()[0])
        second_opinion(studio)
    wanted = [p for p in pictures(studio) if not names or p[0] in names]
    with served(pages.app(studio)) as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(browser.find()), args=LAUNCH)
        for name, path, size, theme in wanted:
            take(chromium, address, path, name, size=size, theme=theme)
        chromium.close()


if __name__ == "__main__":
    main(sys.argv[1:])
