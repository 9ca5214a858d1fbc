"""What goes wrong in the tests' browser, kept for the report of the test that fails: errors of the console and of
scripts, answers of the server that are faults, and every message that a page showed.

Knows contexts of a browser; knows no page of ours beyond how it says that something is wrong.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, WebError

WITHIN_MS = 60_000  # every wait for a page: it may be slow on a busy machine; what is asked is what it does
KEPT = 40
MARK = "shown: "
# A message of a page is gone when the wait is over, and the page is often closed: it goes to the console at once.
TELL = """
new MutationObserver((changes) => {
  for (const { addedNodes, target } of changes) {
    for (const node of [...addedNodes, target]) {
      const at = node.nodeType === 1 ? node : node.parentElement;
      const said = at?.closest?.(".toast-body, [role=alert]") || at?.querySelector?.(".toast-body, [role=alert]");
      const text = said && !said.hidden ? said.innerText.trim() : "";
      if (text && said.dataset.toldTo !== text) { said.dataset.toldTo = text; console.error("MARK" + text); }
    }
  }
}).observe(document, {
  childList: true, subtree: true, characterData: true, attributes: true, attributeFilter: ["hidden"],
});
""".replace("MARK", MARK)


def wait_until(page: Page, done: Callable[[], bool]) -> None:
    """Let the page go on until something that it cannot show has happened."""
    until = time.monotonic() + WITHIN_MS / 1000
    while not done():
        assert time.monotonic() < until, "it never came"
        page.wait_for_timeout(20)


class Watched:
    """A browser whose contexts wait no longer than `WITHIN_MS` and note what goes wrong in them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.noted: deque[str] = deque(maxlen=KEPT)

    def new_context(self, **options: Any) -> BrowserContext:
        """A context like the browser's own."""
        context = self._browser.new_context(**options)
        context.set_default_timeout(WITHIN_MS)
        context.set_default_navigation_timeout(WITHIN_MS)
        context.add_init_script(TELL)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("response", self._response)
        context.on("requestfailed", self._failed)
        return context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._browser, name)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.noted.append(message.text if message.text.startswith(MARK) else f"console: {message.text}")

    def _error(self, error: WebError) -> None:
        self.noted.append(f"script: {error.error}")

    def _response(self, response: Response) -> None:
        if response.status >= 400:
            self.noted.append(f"answered {response.status}: {response.request.method} {response.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # a page that is left asks for nothing more
            self.noted.append(f"not answered: {request.method} {request.url}: {request.failure}")
