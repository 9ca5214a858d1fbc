"""Speech that every test of the audit may spoil."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.backends.finch.pretrain import demo_data
from tests.audit import speech


@pytest.fixture(scope="session", name="demo")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of a minute and a half of the built-in demo voice."""
    return demo_data.make(tmp_path_factory.mktemp("demo"), minutes=1.5, seed=0).manifest


@pytest.fixture(scope="session", name="spoken")
def _spoken(demo: Path) -> list[speech.Spoken]:
    return speech.read(demo)
