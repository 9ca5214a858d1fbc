"""Room on the disk: how much is free, whether something fits, what a folder takes. Knows nothing of what is written."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
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


def file_sizes(folder: Path) -> list[int]:
    """Bytes of each file below a folder; empty when there is none.

    A file or folder that goes while it is looked at, as a run's older states do, is passed over.
    """
    sizes = []
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                sizes.append((Path(place) / name).stat().st_size)
    return sizes
