"""Room on the disk: how much is free, whether something fits, and writing a file so that it survives a crash whole.

Knows nothing of what is written.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from engine.types import DiskFull

RESERVE_BYTES = 64 * 1024 * 1024  # always left free, for event logs and everybody else


def free_bytes(path: Path) -> int:
    """Free bytes of the file system that `path`, an existing folder, lies on."""
    return shutil.disk_usage(path).free


def must_fit(folder: Path, needed_bytes: int, *, free: int, what: str) -> None:
    """Raises DiskFull when `needed_bytes` and the reserve are more than `free`."""
    if free < needed_bytes + RESERVE_BYTES:
        needed = (needed_bytes + RESERVE_BYTES) / 1e6
        raise DiskFull(f"{folder} has {free / 1e6:.0f} MB free and {what} needs {needed:.0f} MB; make room there.")


def replace_text(path: Path, text: str) -> None:
    """Replace a small text file in one step: a reader sees the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file's or a folder's content to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders; NTFS journals renames
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
