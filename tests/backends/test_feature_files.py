"""What a model heard of a clip is kept whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.backends import feature_files
from engine.types import BadInput


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Also of a view, which takes no more room than what it shows; nothing unfinished stays beside it."""
    codes = torch.arange(1_000_000)[::500_000]
    feature_files.write(tmp_path / "new", "a", {"codes": codes})
    found = feature_files.read(tmp_path / "new", "a", ["codes"])
    assert found is not None
    assert found["codes"].tolist() == [0, 500_000]
    (file,) = (tmp_path / "new").iterdir()
    assert file.stat().st_size < 1000


def test_what_is_damaged_or_lacks_a_tensor_is_made_again(tmp_path: Path) -> None:
    """A half file, one of an earlier layout and none at all read as nothing."""
    feature_files.write(tmp_path, "a", {"codes": torch.ones(9)})
    assert feature_files.read(tmp_path, "a", ["codes", "speaker"]) is None
    assert feature_files.read(tmp_path, "b", ["codes"]) is None
    file = tmp_path / "a.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    assert feature_files.read(tmp_path, "a", ["codes"]) is None


def test_keys_follow_from_all_that_is_told_and_from_where_it_ends() -> None:
    """Words that are only divided otherwise have another key."""
    assert feature_files.key("1", "ab", "c") == feature_files.key("1", "ab", "c") != feature_files.key("1", "a", "bc")


def test_a_missing_clip_is_named_with_its_row(tmp_path: Path) -> None:
    """The sentence says which file, which row and the mend."""
    with pytest.raises(BadInput, match=r"gone\.wav of row r7 is missing; put it back"):
        feature_files.clip_sha256(tmp_path / "gone.wav", "r7")
