"""The composition root: what it refuses, how fast it answers, how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest

import app

REPOSITORY = Path(__file__).parents[1]
ANSWERS_WITHIN_SEC = 3.0
ENDS_WITHIN_SEC = 60.0
BUILT_WITHIN_SEC = 240.0  # Gradio's import alone takes seconds, and a busy machine takes many


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The app in a process of its own on a free port; gives the process and the address that it printed."""
    command = [sys.executable, "app.py", "--home", str(home), "--port", "0", "--no-browser", *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.search(r"http://\S+?:\d+", line)
        assert address, f"no address was printed: {line!r}"
        yield process, address.group()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=ENDS_WITHIN_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise


def page(address: str) -> str:
    request = urllib.request.Request(address + "/", headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def test_the_first_page_answers_at_once_and_the_real_one_follows(tmp_path: Path) -> None:
    """A browser that opens with the app sees a page within seconds of the process's start, and then the app."""
    before = time.monotonic()
    with started(tmp_path) as (process, address):
        opening = page(address)
        waited = time.monotonic() - before
        assert "mark</i></b> is opening" in opening
        end = time.monotonic() + BUILT_WITHIN_SEC
        while "gradio_config" not in page(address):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.2)
    assert process.returncode == 0
    busy = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0
    assert waited < ANSWERS_WITHIN_SEC * max(1.0, busy)


def test_a_second_app_on_a_workspace_is_told_who_holds_it(tmp_path: Path) -> None:
    """The second process ends with exit code 4 and a sentence that names the first; the first goes on."""
    with started(tmp_path) as (process, address):
        command = [sys.executable, "app.py", "--home", str(tmp_path), "--port", "0", "--no-browser"]
        second = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
        assert second.returncode == 4
        assert f"process {process.pid}" in second.stderr
        assert second.stderr.count("\n") == 1, "one sentence, no trace"
        assert process.poll() is None
        assert page(address)


def test_a_host_that_others_reach_is_refused_without_a_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never open by mistake: exit code 5, and nothing is written into the workspace."""
    assert app.main(["--home", str(tmp_path), "--host", "0.0.0.0", "--no-browser"]) == 5
    assert "--reviewer-token" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_with_a_token_nothing_is_answered_without_it(tmp_path: Path) -> None:
    """From the first moment on, while the pages are still being built, the check stands."""
    with started(tmp_path, "--reviewer-token", "for-reviewers") as (_, address):
        for path in ("/blind/sittings", "/clips/a", "/config"):
            with pytest.raises(HTTPError) as refused:
                urllib.request.urlopen(address + path, timeout=30)
            assert refused.value.code == 401


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody else's port is named with what to do."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        assert app.main(["--home", str(tmp_path), "--port", str(taken), "--no-browser"]) == 4
    assert f"127.0.0.1:{taken} cannot be used" in capsys.readouterr().err


def test_starting_needs_no_torch() -> None:
    """torch is imported when it is first needed: neither the app nor its pages import it."""
    heavy = ("torch", "librosa", "peft", "transformers")
    told = f"import sys, app, ui.pages, engine.studio; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", told], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_taken_address_is_gone_after_the_end(tmp_path: Path) -> None:
    """When the process has ended nothing answers any more, and the workspace is free."""
    with started(tmp_path) as (_, address):
        assert page(address)
    with pytest.raises(URLError):
        page(address)
    with started(tmp_path) as (_, address):
        assert page(address)
