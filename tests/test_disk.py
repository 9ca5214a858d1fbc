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


def test_what_is_gone_while_it_is_counted_is_passed_over(tmp_path: Path) -> None:
    """A run removes older states while a page adds up what they take: no error, and the rest is counted."""
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / "kept").write_bytes(b"12345")
    (tmp_path / "states" / "gone").symlink_to(tmp_path / "was here")
    assert disk.file_sizes(tmp_path) == [5]
    assert disk.file_sizes(tmp_path / "never was") == []
