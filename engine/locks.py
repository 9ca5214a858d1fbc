"""Locks that the operating system releases when their holder dies: alive is a held lock, never a pid.

Knows how to hold a file lock, to ask whether somebody holds one, and who said so. Knows nothing of what it protects.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from engine.types import Busy


def is_held(path: Path) -> bool:
    """True while another process (or another handle of this one) holds the lock at `path`."""
    if not path.exists():
        return False
    probe = FileLock(path)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return True
    probe.release()
    return False


def holder(path: Path) -> str:
    """Who holds the lock at `path`, as its holder wrote it: 'process 123, started ...'; empty when unknown."""
    try:
        told = json.loads(_told(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return f"process {told.get('pid', '?')} ({told.get('what', 'unknown')})"


def holder_pid(path: Path) -> int | None:
    """The process that holds the lock at `path`; None when nobody does or it did not say."""
    if not is_held(path):
        return None
    try:
        return int(json.loads(_told(path).read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def hold(path: Path, *, what: str) -> Iterator[Callable[[str], None]]:
    """Hold the lock at `path` for the block, and yield what tells anew what it is held for: a courtesy that a full disk
    may swallow. Raises Busy naming the holder when it is taken.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = holder(path) or "another process"
        raise Busy(f"{path} is held by {who}; close it there, then try again.") from None
    try:
        _tell(path, what)
        yield partial(_retell, path)
    finally:
        _told(path).unlink(missing_ok=True)
        lock.release()


def _tell(path: Path, what: str) -> None:
    """Whole or not at all: others read it at any moment."""
    written = _told(path).with_suffix(".tmp")
    try:
        written.write_text(json.dumps({"pid": os.getpid(), "what": what}), encoding="utf-8")
        written.replace(_told(path))
    finally:
        written.unlink(missing_ok=True)


def _retell(path: Path, what: str) -> None:
    with suppress(OSError):
        _tell(path, what)


def _told(path: Path) -> Path:
    return path.with_name(path.name + ".holder")
