"""Answers that come late, or in another order than they were asked for: a browser's requests, held back by a test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.ui.watched import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

SETTLE_MS = 100  # what an answer changes is on the page by then; a test that waits for a change does not need it


class HeldBack:
    """Requests whose address matches are held back while `on`, until they are let go in the order given.

    To be made before the page is opened: one that is held back only later may slip by.
    """

    def __init__(self, page: Page, address: str, *, on: bool = False) -> None:
        self._page = page
        self.routes: list[Route] = []
        self.on = on
        page.route(re.compile(address), lambda route: self.routes.append(route) if self.on else route.continue_())

    def wait(self, asked: int) -> None:
        """Until so many have been asked for."""
        wait_until(self._page, lambda: len(self.routes) >= asked)

    def let_go(self, number: int = 0) -> None:
        """Let one of them be answered, and the page take its answer."""
        request = self.routes[number].request
        with self._page.expect_event("requestfinished", lambda finished: finished == request):
            self.routes[number].continue_()
        self._page.wait_for_timeout(SETTLE_MS)

    def let_all_go(self) -> None:
        """Let all of them be answered in order, and hold back nothing any more."""
        self.on = False
        for number in range(len(self.routes)):
            self.let_go(number)
