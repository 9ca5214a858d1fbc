"""The trainer's command line: what is set before torch is imported, and who leads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.train import worker
from engine.train.__main__ import main


@pytest.fixture(name="environment")
def own_environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Variables that a test may change and nobody else sees."""
    own = {k: v for k, v in os.environ.items() if k not in ("RANK", "PYTORCH_ALLOC_CONF")}
    monkeypatch.setattr(os, "environ", own)
    return own


def test_the_allocator_may_grow_its_segments(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever starts a trainer gets segments that can grow, unless the environment says otherwise."""
    seen: list[str] = []
    monkeypatch.setattr(worker, "work", lambda run_dir: seen.append(os.environ["PYTORCH_ALLOC_CONF"]) or 0)
    assert main([str(tmp_path)]) == 0
    environment["PYTORCH_ALLOC_CONF"] = "backend:native"
    assert main([str(tmp_path)]) == 0
    assert seen == ["expandable_segments:True", "backend:native"]


def test_every_process_but_the_first_follows(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that torchrun calls 0 holds the lock and writes; the others only share its steps."""
    called: list[str] = []
    monkeypatch.setattr(worker, "work", lambda run_dir: called.append("work") or 0)
    monkeypatch.setattr(worker, "follow", lambda run_dir: called.append("follow") or 0)
    for rank in ("0", "1"):
        environment["RANK"] = rank
        assert main([str(tmp_path)]) == 0
    assert called == ["work", "follow"]
