"""The reviewer's player: from the press of a key to the sound, and how a switch is placed on the audio clock.

The real page's script runs in Chromium against a stand-in server with one endless A/B trial. Keys are real input
events. When a side is made audible the page notes the press's own time, the time for which it was asked, and the
browser's pairing of audio clock and wall clock, output latency included. What a loudspeaker or a wireless headphone
adds after that is not seen.
"""

from __future__ import annotations

import io
import math
import statistics
import threading
import time
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from benchmarks.app_start import ROOT
from benchmarks.measure import Row, Table
from engine.types import EngineError
from tools import browser

if TYPE_CHECKING:
    from playwright.sync_api import Page

RATE_HZ = 24_000
CLIP_SEC = 8.0
PRESSES_A_TURN = 40
BETWEEN_MS = (37, 61, 83, 149)  # so that presses fall on all parts of a frame and of a buffer
AIM_MS = 50
STARTED_WITHIN_SEC = 60.0
LAUNCH = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Listen</title><body>
<div id="frame"><div data-listen><div data-stage></div><div role="status" aria-live="polite"></div></div></div>
<script type="module">
import { mount } from "/look/listen.js"; mount(document.getElementById("frame"));
</script></body></html>"""
# A side becomes audible where a gain's curve begins to rise; what was made again within one press counts as it ended.
NOTE = """
window.noted = [];
addEventListener("keydown", (event) => { window.pressed = event.timeStamp; }, true);
const Context = window.AudioContext;
window.AudioContext = class extends Context { constructor(...given) { super(...given); window.context = this; } };
const fade = AudioParam.prototype.setValueCurveAtTime;
AudioParam.prototype.setValueCurveAtTime = function (curve, when, seconds) {
  fade.call(this, curve, when, seconds);
  if (window.pressed === undefined || curve[0] > 0) return;
  const { context, pressed } = window, { contextTime, performanceTime } = context.getOutputTimestamp();
  const heard = performanceTime + 1000 * (when - contextTime), called = performance.now();
  const first = window.last === undefined;
  window.last = () => [heard - pressed, called - pressed, Number(context.currentTime > when),
    1000 * context.baseLatency, 1000 * (context.outputLatency || 0)];
  if (first) queueMicrotask(() => {
    window.noted.push(window.last());
    window.last = window.pressed = undefined;
  });
};
"""


def run(turns: int, base_model: str = "") -> list[Table]:
    """Presses by the hundred, in three ways; `base_model` does not apply: no voice is loaded."""
    del base_model
    path = browser.find()
    if path is None:
        raise EngineError(browser.ADVICE)
    from playwright.sync_api import sync_playwright

    with _served() as address, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(path), args=LAUNCH)
        page = chromium.new_page()
        page.add_init_script(NOTE)
        page.goto(f"{address}/?session=bench")
        page.wait_for_selector("[data-act=begin]")
        page.keyboard.press("Enter")
        page.wait_for_selector(".em-pad:not([disabled])")
        found = {
            "play, from silence": _presses(page, turns, (" ", " ")),
            "switch, while it plays": _presses(page, turns, ("2", "1")),
            "from the start, while it plays": _presses(page, turns, ("r",)),
        }
        chromium.close()
    return [_table(found)]


def _presses(page: Page, turns: int, keys: Sequence[str]) -> list[list[float]]:
    """Press the keys in turn; every press that starts a sound gives a row."""
    page.evaluate("window.noted = []")
    for i in range(turns * PRESSES_A_TURN):
        page.keyboard.press(keys[i % len(keys)])
        page.wait_for_timeout(BETWEEN_MS[i % len(BETWEEN_MS)])
    rows: list[list[float]] = page.evaluate("window.noted")
    return rows


def _table(found: dict[str, list[list[float]]]) -> Table:
    rows = []
    for what, presses in found.items():
        heard = sorted(row[0] for row in presses)
        rows.append(Row(f"{what}: median of {len(heard)}", f"{statistics.median(heard):.1f} ms", "", f"< {AIM_MS} ms"))
        worst = heard[math.ceil(0.95 * len(heard)) - 1]
        rows.append(Row("at most, of 95 in 100", f"{worst:.1f} ms", "", f"< {AIM_MS} ms"))
        called = statistics.median(row[1] for row in presses)
        rows.append(Row("from the press to the call that starts it, median", f"{called:.1f} ms"))
        if what.endswith("plays"):  # out of silence the player looks itself, and makes it again
            late = sum(int(row[2]) for row in presses)
            rows.append(Row("changed after its frame had passed", f"{late}", f"{late / len(presses):.3f}", "0"))
    base, output = next(iter(found.values()))[0][3:]
    note = (
        f"The browser's buffer (baseLatency) was {base:.1f} ms, its output latency {output:.1f} ms; both are in the "
        "times above, what a device adds beyond is not. A switch has no gap on the audio clock: the new side rises "
        "from the frame at which the old one is silent (tests/ui/test_player.py reads it off the samples)."
    )
    return Table("From the press of a key to the sound, in the browser", rows, note)


@contextmanager
def _served() -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(_app(), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + STARTED_WITHIN_SEC
    while not server.started:
        if time.monotonic() > end:
            raise EngineError("The stand-in server of the benchmark did not start.")
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def _app() -> FastAPI:
    app = FastAPI()
    app.mount("/look", StaticFiles(directory=ROOT / "assets" / "ui"))
    sides = [{"label": label, "token": label} for label in "AB"]
    trial = {"trial": "1", "kind": "preference", "text": "A line.", "slots": sides, "position": 1, "total": 1}
    told: dict[str, Any] = {"reasons": [], "scale": None, "training": False, "switching": "continue"}

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse(PAGE)

    @app.get("/blind/trial")
    def asked() -> dict[str, Any]:
        return {**trial, **told, "upcoming": [], "previous": None, "control": None}

    @app.get("/blind/sittings")
    def sittings() -> dict[str, Any]:
        return {"sittings": []}

    @app.get("/blind/audio/{token}")
    def audio(token: str) -> Response:
        return Response(_noise(ord(token)), media_type="audio/wav")

    return app


def _noise(seed: int) -> bytes:
    """Noise as quiet as a whisper: only that it starts matters."""
    samples = np.random.default_rng(seed).normal(0, 300, round(CLIP_SEC * RATE_HZ)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE_HZ)
        writer.writeframes(samples.tobytes())
    return file.getvalue()
