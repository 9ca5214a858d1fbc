"""Files that survive a crash: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import durable


def test_a_write_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    """The new content is there, the temporary file is not."""
    path = tmp_path / "record.json"
    durable.write_bytes(path, b"old")
    durable.write_bytes(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("record.json", b"new")]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the rename changes nothing that a reader sees."""
    path = tmp_path / "record.json"
    durable.write_bytes(path, b"old")
    monkeypatch.setattr(durable, "rename", lambda source, target: (_ for _ in ()).throw(OSError("power")))
    with pytest.raises(OSError, match="power"):
        durable.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"


def test_checksums_name_every_file_by_its_relative_path(tmp_path: Path) -> None:
    """Nested files are named with forward slashes; folders have no checksum."""
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "w").write_bytes(b"")
    (tmp_path / "a").write_bytes(b"abc")
    assert durable.checksums(tmp_path) == {
        "a": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "lm/w": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }
