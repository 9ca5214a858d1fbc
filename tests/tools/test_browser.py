"""The browser for the tests of the page: which one is taken, and when one may be installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import browser


def test_the_named_browser_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EARMARK_BROWSER beats whatever is on the PATH."""
    named = tmp_path / "my-browser"
    named.write_text("", encoding="utf-8")
    monkeypatch.setenv(browser.VARIABLE, str(named))
    assert browser.find() == named


def test_a_wrong_name_is_not_replaced_by_another_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Naming a browser that is not there says so: the tests never run in another one than asked for."""
    monkeypatch.setenv(browser.VARIABLE, str(tmp_path / "absent"))
    assert browser.find() is None
    assert browser.main([]) == 1


def test_the_first_name_on_the_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chromium goes before Chrome where both are installed."""
    for name in ("google-chrome", "chromium"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n", encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.delenv(browser.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert browser.find() == tmp_path / "chromium"


@pytest.mark.parametrize(
    ("is_root", "has_apt", "has_sudo", "first"),
    [
        (True, True, False, "apt-get"),
        (False, True, True, "sudo"),
        (False, True, False, None),
        (True, False, False, None),
    ],
    ids=["root", "sudo", "no rights", "no apt-get"],
)
def test_apt_is_used_only_where_it_can_work(is_root: bool, has_apt: bool, has_sudo: bool, first: str | None) -> None:
    """apt-get runs as root or through sudo without a password prompt, and nowhere else."""
    commands = browser.apt_commands(is_root=is_root, has_apt=has_apt, has_sudo=has_sudo)
    assert (commands[0][0] if commands else None) == first
    assert all("-n" in command for command in commands if command[0] == "sudo")
