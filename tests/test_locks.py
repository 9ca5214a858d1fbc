"""Locks: what the operating system releases with the process that held it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine import locks
from engine.types import Busy

HOLD = """
import sys, time
from pathlib import Path
from engine import locks
with locks.hold(Path(sys.argv[1]), what='a test'):
    print('held', flush=True)
    time.sleep(60)
"""


def _holding(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    """A taken lock answers with the process that holds it and what it is doing."""
    path = tmp_path / "earmark.lock"
    child = _holding(path)
    try:
        with pytest.raises(Busy, match=rf"process {child.pid} \(a test\)"), locks.hold(path, what="us"):
            pass
        assert locks.is_held(path)
    finally:
        child.kill()
        child.wait()


def test_a_kill_releases_the_lock(tmp_path: Path) -> None:
    """A stale lock file after a kill -9 blocks nobody."""
    path = tmp_path / "earmark.lock"
    child = _holding(path)
    child.kill()
    child.wait()
    assert not locks.is_held(path)
    with locks.hold(path, what="us"):
        assert locks.is_held(path)
    assert not locks.is_held(path)
