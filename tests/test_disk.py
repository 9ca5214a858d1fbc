"""Room on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import disk
from engine.types import DiskFull


def test_the_reserve_stays_free(tmp_path: Path) -> None:
    """What fits only into the reserve does not fit; the sentence names the place, what there is and what is needed."""
    disk.must_fit(tmp_path, 1000, free=disk.RESERVE_BYTES + 1000, what="a clip")
    with pytest.raises(DiskFull, match=r"has 67 MB free and a clip needs 68 MB"):
        disk.must_fit(tmp_path, 1_000_000, free=disk.RESERVE_BYTES + 1000, what="a clip")


def test_free_bytes_is_the_file_systems(tmp_path: Path) -> None:
    """A folder's free space is a number of bytes that is there."""
    assert disk.free_bytes(tmp_path) > 0
