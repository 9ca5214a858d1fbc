"""The Listen page gives nothing away: with the sides exchanged, all that a browser can observe stays as it is."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.types import Candidate, TrialKind
from engine.workspace import Workspace
from tests.ui import sitting
from tests.ui.conftest import served
from tests.ui.fake_studio import RUN_ID, VOICE, FakeStudio
from tests.ui.sitting import LABELS, OPEN_PADS, give, hear_all, open_sitting

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Response

pytestmark = pytest.mark.browser

SCALES = (0.2, 0.35, 0.5, 1.0)
CANDIDATES = [
    Candidate(backend="finch", voice=VOICE, checkpoint_id=f"{RUN_ID}@{step:06d}", lora_scale=scale)
    for step in (80, 200)
    for scale in SCALES
]
IDENTIFYING = re.compile(
    r"robin|finch|aoede|@0000|checkpoint|\blora|epoch|/clips/|\.flac|\b0\.35\b|\bmedium\b|https?://(?!ADDRESS)", re.I
)
# What sounds: the lengths of all buffers that are started. Equal lengths are equal times of all that follows from them;
# how often they are started is how often the test pressed a key.
LISTEN_IN = """
window.lengths = new Set();
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (...given) {
  window.lengths.add(this.buffer.length);
  return start.apply(this, given);
};
"""
SEEN = """() => JSON.stringify([document.title, document.querySelector('[data-listen]').outerHTML, {...sessionStorage},
  {...localStorage}, window.history.length, window.history.state, document.cookie, [...window.lengths]])"""


def rendered(folder: Path, *, swapped: bool) -> FakeStudio:
    """Eight candidates on the short script, and tokens that are counted instead of drawn."""
    count = itertools.count()
    studio = FakeStudio(Workspace(folder), swapped=swapped, new_token=lambda: f"{next(count):012d}token")
    studio.start_run(studio.default_config().__class__(dataset="d"))
    for candidate in CANDIDATES:
        for line in studio.script("english-brief").lines:
            studio._make_clip(candidate, line, 42)
    return studio


def of_restarts(events: list[list[str]]) -> list[list[str]]:
    """Events without what was heard of a side before it was begun anew: on a busy machine a clip is over by then."""
    anew = {label: place for place, (name, label) in enumerate(events) if name == "restart"}
    over = ("heard", "end")
    return [e for place, e in enumerate(events) if e[0] not in over or place > anew.get(e[1], -1)]


class Watcher:
    """All that a browser sees of a sitting, in order, with the address and times taken out; audio apart."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.seen: list[tuple[str, str]] = []
        self.audio: dict[str, bytes] = {}
        self.replies: list[Response] = []
        page.on("console", lambda message: self.seen.append(("console", self._plain(message.text))))
        page.on("request", self._asked)
        page.on("response", lambda reply: self.replies.append(reply))

    def _plain(self, text: str) -> str:
        return text.replace(self.address.partition("//")[2], "ADDRESS")

    def _asked(self, request: Request) -> None:
        if "/blind/" not in request.url:
            return  # the frame, the same for every sitting of everybody
        self.seen.append(("request", self._plain(f"{request.method} {request.url} {sorted(request.headers.items())}")))
        if request.post_data:
            told = json.loads(request.post_data)
            events = of_restarts([[name, label] for _, name, label, _ in told.get("events", [])])
            heard = {label: place for place, (name, label) in reversed(list(enumerate(events))) if name == "heard"}
            # Up to where all were heard once: rating one plays it again, and how far it comes is the hands' own pace.
            told["events"] = events[: max(heard.values(), default=len(events)) + 1]
            told["plays"] = sorted(told.get("plays", {}))
            self.seen.append(("sent", json.dumps(told)))

    def look(self) -> None:
        """Note the page as it is, with everything that it keeps."""
        shown = self._plain(self.page.evaluate(SEEN))
        self.seen.append(("page", re.sub(r'(width: ?|aria-valuetext=\\")[\d.]+ ?%', r"\1", shown)))

    def end(self) -> None:
        """Note every answer of the server, by address."""
        for reply in sorted((r for r in self.replies if "/blind/" in r.url), key=lambda r: r.url):
            headers = sorted((name, value) for name, value in reply.headers.items() if name != "date")
            self.seen.append(("reply", self._plain(f"{reply.url} {reply.status} {headers}")))
            if "/audio/" in reply.url:
                self.audio[reply.url.rpartition("/")[2]] = reply.body()
            elif "/level" not in reply.url:
                self.seen.append(("told", reply.text()))


def watched(browser: Browser, folder: Path, kind: TrialKind, *, swapped: bool) -> tuple[Watcher, FakeStudio]:
    """A whole sitting, from the volume to the end: two trials of one side, or one of several."""
    from ui import pages

    studio = rendered(folder, swapped=swapped)
    with served(pages.app(studio)) as address:  # type: ignore[arg-type]
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.add_init_script(LISTEN_IN)
        sitting.short_clips(context)
        page = context.new_page()
        watcher = Watcher(page, address)
        trials = 2 if len(LABELS[kind]) == 1 else 1
        open_sitting(page, address, sitting.of_kind(studio, kind, trials=trials))
        for position in range(1, trials + 1):
            page.wait_for_selector(f"text={position} of {trials}")
            page.wait_for_selector(OPEN_PADS)
            watcher.look()
            hear_all(page)
            watcher.look()
            give(page, kind)
        page.wait_for_selector(f"text=That was all {trials}")
        watcher.look()
        watcher.end()
        context.close()
    return watcher, studio


@pytest.mark.parametrize("kind", TrialKind)
def test_exchanging_the_sides_changes_nothing_but_the_audio(tmp_path: Path, browser: Browser, kind: TrialKind) -> None:
    """The strongest test of blindness, in the browser: page, addresses, headers, console, storage, what is sent and how
    long all sounds are the same whichever clip is on which side; and nothing of it names what is heard.
    """
    one, studio = watched(browser, tmp_path / "one", kind, swapped=False)
    other, _ = watched(browser, tmp_path / "other", kind, swapped=True)
    assert one.seen == other.seen
    assert {name for name, _ in one.seen} >= {"request", "sent", "page", "reply", "told"}
    assert len({len(sound) for sound in one.audio.values()}) == 1
    assert one.audio.keys() == other.audio.keys()
    assert all(one.audio[token] != other.audio[token] for token in one.audio), "the sides were not exchanged"
    told = "\n".join(text for _, text in one.seen)
    for line in studio.script("english-brief").lines:
        told = told.replace(line.text, "")
    found = IDENTIFYING.search(told)
    assert found is None, told[max(0, found.start() - 80) : found.end() + 80] if found else ""
