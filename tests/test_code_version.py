"""Which code ran: a verdict can be traced to it."""

from __future__ import annotations

import shutil
from importlib import metadata

import pytest

from engine import code_version


def test_libraries_that_decide_numbers_are_named() -> None:
    """The record has the version of every library that training rests on, as installed."""
    facts = code_version.facts()
    assert facts["torch"] == metadata.version("torch")
    assert facts["peft"] == metadata.version("peft")
    assert facts["commit"]


def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy without git, or git that fails, is no reason not to train."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert code_version.facts()["commit"] == "unknown"
    monkeypatch.setattr(shutil, "which", lambda name: "/nonexistent/git")
    assert code_version.facts()["commit"] == "unknown"
