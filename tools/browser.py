"""Finds Chromium, Chrome or Edge for the tests of the page; gets Chromium where that can be done without asking.

`python tools/browser.py` prints the browser's path; with `--install` it first gets one: by apt-get where that exists
and this user may use it, else by Playwright into the user's cache. Knows nothing of the product or of the tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "EARMARK_BROWSER"  # a path that goes before everything else
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "msedge", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
ADVICE = (
    "The tests of the page need Chromium, Chrome or Edge and none was found; install one, or run "
    "`.venv/bin/python -m playwright install chromium`, or set EARMARK_BROWSER to its path."
)


def find() -> Path | None:
    """The browser that EARMARK_BROWSER names, else one on the PATH, else where systems put it, else Playwright's."""
    if named := os.environ.get(VARIABLE):
        return Path(named) if Path(named).is_file() else None
    on_path = (shutil.which(name) for name in NAMES)
    places = (place for place in PLACES if Path(place).is_file())
    found = next((path for path in (*on_path, *places) if path), None)
    return Path(found) if found else _from_playwright()


def _from_playwright() -> Path | None:
    """Playwright's downloaded Chromium, if it is there (and Playwright is installed)."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    with sync_playwright() as playwright:
        path = Path(playwright.chromium.executable_path)
    return path if path.is_file() else None


def apt_commands(*, is_root: bool, has_apt: bool, has_sudo: bool) -> list[list[str]]:
    """The commands that install Chromium by apt-get; none where this user cannot run it without a password prompt."""
    if not has_apt or not (is_root or has_sudo):
        return []
    prefix = [] if is_root else ["sudo", "-n"]
    return [
        [*prefix, "apt-get", "update", "-qq"],
        [*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
    ]


def install() -> None:
    """Try apt-get, then Playwright's download. Failing is no error here: `find` has the last word."""
    commands = apt_commands(
        is_root=hasattr(os, "geteuid") and os.geteuid() == 0,
        has_apt=shutil.which("apt-get") is not None,
        has_sudo=shutil.which("sudo") is not None,
    )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    if commands and all(_run(command, quiet) for command in commands) and find():
        return
    _run([sys.executable, "-m", "playwright", "install", "chromium"], dict(os.environ))


def _run(command: Sequence[str], environment: dict[str, str]) -> bool:
    print(f"Getting a browser for the tests: {' '.join(command)} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    return done.returncode == 0


def main(arguments: Sequence[str]) -> int:
    """Print the browser's path, or what to do, and exit 1, when there is none."""
    parser = argparse.ArgumentParser(description="Find a browser for the tests of the page.")
    parser.add_argument("--install", action="store_true", help="get one when there is none")
    options = parser.parse_args(arguments)
    if options.install and find() is None:
        install()
    path = find()
    print(path if path else ADVICE, file=sys.stdout if path else sys.stderr)
    return 0 if path else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
