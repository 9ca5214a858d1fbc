"""From the start of the process to the first page, and what an import of the engine drags in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.measure import Row, Table, spread
from engine.types import EngineError

ROOT = Path(__file__).parents[1]
GIVE_UP_SEC = 60.0
HEAVY = ("torch", "transformers", "peft", "librosa", "gradio", "matplotlib")


def run(turns: int, base_model: str = "") -> list[Table]:
    """Start the app `turns` times on an empty workspace; it loads no voice, so `base_model` does not apply."""
    starts = [_seconds_to_first_page() for _ in range(turns)]
    bare = [_seconds_of("pass") for _ in range(turns)]
    studio = [_seconds_of("import engine.studio") for _ in range(turns)]
    return [
        Table(
            "Start of the app",
            [
                Row("`python app.py` until the first page answers", spread(starts), "", "<= 3 s"),
                Row("`import engine.studio` in a fresh interpreter", spread(studio)),
                Row("a fresh interpreter that does nothing", spread(bare)),
                Row("heavy packages that `import engine.studio` loads", _heavy_imports() or "none", "", "none"),
            ],
        )
    ]


def _seconds_to_first_page() -> float:
    port = free_port()
    environment = os.environ | {"EARMARK_NO_BROWSER": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    with tempfile.TemporaryDirectory() as home:
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "app.py", "--home", home, "--port", str(port), "--no-browser"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/", process, begin + GIVE_UP_SEC)
            return time.perf_counter() - begin
        finally:
            process.terminate()
            process.wait(timeout=20)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes], until: float) -> None:
    """Wait until the app answers. Raises EngineError when it ends before, or does not answer in time."""
    while time.perf_counter() < until:
        if process.poll() is not None:
            raise EngineError(
                f"The app ended with {process.returncode} before it answered; run `python app.py` to see why."
            )
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                answer.read()
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    raise EngineError(f"The app did not answer at {url} within {GIVE_UP_SEC:.0f} s.")


def _seconds_of(code: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    return time.perf_counter() - begin


def _heavy_imports() -> str:
    code = f"import sys, engine.studio; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
