"""Watching a run: from the event in the file to the pixel on the page, and what it costs the app.

A run folder is made whose events this process writes at a trainer's pace, so that the moment of each is known. The app
is a process of its own; browsers watch the run in tabs of one browser, or each in a browser of its own. A page notes
when it has painted a step.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.app_start import ROOT, free_port, wait_for
from benchmarks.measure import Row, Table
from engine import backends, locks
from engine.runs import making
from engine.runs.folder import RunFolder
from engine.train.journal import Journal
from engine.types import Dataset, EngineError, RunConfig
from engine.workspace import Workspace
from tools import browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TABS = 20
STEPS_A_SEC = 4.0
WATCHED_SEC = 20.0
SETTLE_SEC = 6.0
CATCH_UP_SEC = 30.0
OPENED_WITHIN_SEC = 240.0
BEFORE = 2000  # steps that a run has behind it when somebody opens it
LAUNCH = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
HIDE = (
    "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
    "document.dispatchEvent(new Event('visibilitychange'))"
)
# Two frames after the text changed it has been painted.
NOTE = """
window.painted = [];
new MutationObserver(() => {
  const place = document.querySelector('[data-readout]');
  const step = place && /^step (\\d+)/.exec(place.textContent);
  if (!step || window.lastStep === step[1]) return;
  window.lastStep = step[1];
  requestAnimationFrame(() => requestAnimationFrame(() => window.painted.push([Number(step[1]), Date.now() / 1000])));
}).observe(document, {childList: true, subtree: true, characterData: true});
"""


@dataclass(frozen=True)
class Look:
    """How a run is watched: by how many browsers, with how many tabs each, all of them in sight or one in front."""

    name: str
    browsers: int
    tabs: int
    all_seen: bool = True


LOOKS = (
    Look("1 tab", 1, 1),
    Look(f"{TABS} tabs of one browser, one of them in front", 1, TABS, all_seen=False),
    Look(f"{TABS} windows of one browser, all in sight", 1, TABS),
    Look(f"{TABS} browsers, all in sight", TABS, 1),
)


def run(turns: int, base_model: str = "") -> list[Table]:
    """One long look a setting; `turns` and `base_model` do not apply: no voice is loaded."""
    del turns, base_model
    path = browser.find()
    if path is None:
        raise EngineError(browser.ADVICE)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        run_dir = _run_folder(workspace)
        with _app(workspace) as (address, pid), _told(run_dir) as written, _chromium(path) as chromium:
            url = f"{address}/runs?run={run_dir.name}"
            idle = _share(pid, WATCHED_SEC / 2)
            rows = []
            for look in LOOKS:
                rows += _watched(chromium, url, pid, written, look)
    note = (
        f"A run with {BEFORE} steps behind it makes {STEPS_A_SEC:g} more a second. The browsers run on the machine of "
        "the app and draw without a GPU: with 20 of them the drawing is most of the work. A step that a page passed "
        "over because the next one was already there counts with the time of that one."
    )
    rows.append(Row("app CPU while nobody watches, share of a core", f"{idle:.1%}"))
    return [Table("From an event to the pixel", rows, note)]


def _watched(chromium: Browser, url: str, pid: int, written: dict[int, float], look: Look) -> list[Row]:
    contexts = [chromium.new_context(viewport={"width": 1280, "height": 900}) for _ in range(look.browsers)]
    try:
        pages = []
        for context in contexts:
            context.add_init_script(NOTE)
            pages += [_opened(context.new_page(), url) for _ in range(look.tabs)]
        for page in pages:
            page.wait_for_function("window.painted.length > 0", timeout=OPENED_WITHIN_SEC * 1000)
        if not look.all_seen:  # a headless browser believes all its tabs to be in front
            for page in pages[:-1]:
                page.evaluate(HIDE)
            pages = pages[-1:]  # the one that was opened last
        time.sleep(SETTLE_SEC)
        begin, load = max(written), os.getloadavg()[0]
        share = _share(pid, WATCHED_SEC)
        end = max(written)
        _catch_up(pages, end)
        waits = [wait for page in pages for wait in _waits(page.evaluate("window.painted"), written, begin, end)]
    finally:
        for context in contexts:
            context.close()
    found = _spread(waits)
    return [
        Row(f"{look.name}: median, 95th percentile, longest", found, "", "< 1 s"),
        Row(f"{look.name}: app CPU, share of a core (load of the machine {load:.1f})", f"{share:.1%}"),
    ]


def _opened(page: Page, url: str) -> Page:
    page.goto(url, timeout=OPENED_WITHIN_SEC * 1000)
    return page


def _catch_up(pages: Sequence[Page], step: int) -> None:
    """Wait until every page has painted the step, or long enough."""
    until = time.monotonic() + CATCH_UP_SEC
    for page in pages:
        while time.monotonic() < until and page.evaluate("window.painted.at(-1)[0]") < step:
            time.sleep(0.2)


def _waits(painted: Sequence[Sequence[float]], written: dict[int, float], begin: int, end: int) -> Iterator[float]:
    """Seconds from each step's event to the first paint of it or of a later one; infinite for one never painted."""
    at = iter(sorted((int(step), when) for step, when in painted))
    step, when = next(at, (0, math.inf))
    for wanted in range(begin, end + 1):
        while step < wanted and when < math.inf:
            step, when = next(at, (0, math.inf))
        yield when - written[wanted]


def _spread(seconds: Sequence[float]) -> str:
    ordered = sorted(seconds)
    median, most = ordered[len(ordered) // 2], ordered[int(0.95 * (len(ordered) - 1))]
    return f"{median:.2f} s, {most:.2f} s, {ordered[-1]:.2f} s ({len(ordered)} paints)"


# --------------------------------------------------------------------------------------------------------- the three
def _run_folder(workspace: Workspace) -> Path:
    workspace.create()
    data = Dataset(
        id="robin", path=workspace.datasets / "robin", manifest_sha256="0" * 64, backend="finch",
        sample_rate=backends.info("finch").sample_rate,
        train_count=79, validation_count=9, test_count=0, train_sec=316.0, excluded_count=0, unresolved=0,
        bad_row_share=0.0, source=workspace.root, created_at=time.time(),
    )  # fmt: skip
    config = RunConfig(name="watched", dataset=data.id, epochs=1000)
    return making.create(workspace.runs, config, now=time.time(), dataset=data).path


@contextmanager
def _told(run_dir: Path) -> Iterator[dict[int, float]]:
    """A trainer's part: the lock, the start, and steps for the block; gives the moment of each step."""
    folder, over, written = RunFolder(run_dir), threading.Event(), {0: time.time()}
    with locks.hold(folder.lock, what="the benchmark"), Journal(folder, time.time) as journal:
        journal.say("start", pid=os.getpid(), step=0, epoch=1, total_steps=100 * BEFORE, epochs=1000)
        for step in range(1, BEFORE + 1):
            journal.say("step", **_step(step))
        written[BEFORE] = time.time()

        def tell() -> None:
            step = BEFORE
            while not over.wait(1 / STEPS_A_SEC):
                step += 1
                moment = time.time()
                journal.say("step", **_step(step))
                if step % 50 == 0:
                    journal.say("validation", step=step, epoch=1 + step // 50, loss=1.5, parts={})
                written[step] = moment

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield written
        finally:
            over.set()
            thread.join()


def _step(step: int) -> dict[str, Any]:
    return {
        "step": step, "epoch": 1 + step // 50, "loss": 2.4 * step**-0.1 + 0.05 * math.sin(step), "parts": {},
        "learning_rate": 1e-3, "grad_norm": {"lm": 1.0 + 0.2 * math.sin(step / 3), "decoder": 0.5}, "seconds": 0.25,
        "tokens": 1400, "padding_share": 0.05, "memory_bytes": 1_200_000_000,
    }  # fmt: skip


@contextmanager
def _app(workspace: Workspace) -> Iterator[tuple[str, int]]:
    port = free_port()
    environment = os.environ | {"EARMARK_NO_BROWSER": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(
        [sys.executable, "app.py", "--home", str(workspace.root), "--port", str(port), "--no-browser"],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(address + "/look/theme.js", process, time.perf_counter() + OPENED_WITHIN_SEC)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def _chromium(path: Path) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(path), args=LAUNCH)
        try:
            yield started
        finally:
            started.close()


def _share(pid: int, seconds: float) -> float:
    """The share of one core that a process takes during the time."""
    before, begin = _cpu_sec(pid), time.perf_counter()
    time.sleep(seconds)
    return (_cpu_sec(pid) - before) / (time.perf_counter() - begin)


def _cpu_sec(pid: int) -> float:
    told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")
