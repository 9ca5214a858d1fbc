"""What the tests of the pages share: a studio without an engine, a served app, a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn
from starlette.types import ASGIApp

from engine.workspace import Workspace
from tests.ui import fake_studio
from tests.ui.fake_studio import FakeStudio
from tests.ui.watched import Watched
from ui.access import Access, Guard

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STARTED_WITHIN_SEC = 60.0
LAUNCH = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)


@pytest.fixture(name="studio")
def _studio(tmp_path: Path) -> FakeStudio:
    return FakeStudio(Workspace(tmp_path))


@pytest.fixture(name="judged", scope="module")
def _judged(tmp_path_factory: pytest.TempPathFactory) -> FakeStudio:
    """A studio with a run, clips, answers, verdicts and a promoted voice; a module's tests share it."""
    return fake_studio.with_everything(tmp_path_factory.mktemp("judged"))


@contextmanager
def served(app: ASGIApp, access: Access | None = None, *, port: int = 0) -> Iterator[str]:
    """The app behind its guard on a free port or a given one, for the block alone; gives the address."""
    config = uvicorn.Config(
        Guard(app, access or Access(host="127.0.0.1")),
        port=port,
        log_level="error",
        server_header=False,
        timeout_graceful_shutdown=1,  # a page that watches a run keeps a question open
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + STARTED_WITHIN_SEC
    while not server.started:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(name="address", scope="module")
def _address(judged: FakeStudio) -> Iterator[str]:
    """The whole app over the judged studio, served."""
    from ui import pages

    with served(pages.app(judged)) as address:  # type: ignore[arg-type]
        yield address


@pytest.fixture(name="browser", scope="session")
def _browser() -> Iterator[Browser]:
    """Chromium, or a skip that says how to get one."""
    from playwright.sync_api import sync_playwright

    from tools import browser

    path = browser.find()
    if path is None:
        pytest.skip(browser.ADVICE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(path), args=LAUNCH)
        yield Watched(chromium)  # type: ignore[misc]  # a browser in all that tests ask of one
        chromium.close()


@pytest.fixture(name="page")
def _page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed in the browser tells what went wrong there; the server's log is told by pytest itself."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if isinstance(browser, Watched) and report.when in ("setup", "call"):
        if report.failed and browser.noted:
            report.sections.append(("what the browser noted", "\n".join(browser.noted)))
        if report.when == "call":
            browser.noted.clear()
    return report
