"""Folders of recordings with a text each: beside one another, nested, in parallel folders, with strangers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from engine import readers
from engine.types import Action, BadInput
from tests.readers.sources import faults, only, sound, texts


def pair(folder: Path, name: str, text: str) -> None:
    sound(folder / f"{name}.wav")
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")


def test_a_text_beside_each_recording(tmp_path: Path) -> None:
    """Lines of a text are joined; papers and hidden files are no rows."""
    pair(tmp_path, "001", "\ufeffhello\r\nthere\n")
    pair(tmp_path, "002", "again")
    (tmp_path / "README.txt").write_text("about")
    (tmp_path / ".hidden.wav").write_bytes(b"x")
    read = readers.read(tmp_path)
    assert (texts(read), read.faults, read.path) == ({"001": "hello there", "002": "again"}, (), tmp_path)


def test_nested_folders_with_equal_names(tmp_path: Path) -> None:
    """Rows that share a name are called by their path."""
    pair(tmp_path / "ada", "001", "one")
    pair(tmp_path / "bob", "001", "two")
    assert texts(readers.read(tmp_path)) == {"ada-001": "one", "bob-001": "two"}


def test_texts_in_a_folder_of_their_own(tmp_path: Path) -> None:
    """`wavs/001.wav` finds `txt/001.txt`, and LibriTTS's normalised text is preferred."""
    sound(tmp_path / "wavs/001.wav")
    (tmp_path / "txt").mkdir()
    (tmp_path / "txt/001.txt").write_text("one")
    sound(tmp_path / "84_1_000001_000002.wav")
    (tmp_path / "84_1_000001_000002.original.txt").write_text("Mr. X")
    (tmp_path / "84_1_000001_000002.normalized.txt").write_text("Mister X")
    assert texts(readers.read(tmp_path)) == {"001": "one", "84_1_000001_000002": "Mister X"}


def test_what_has_no_partner(tmp_path: Path) -> None:
    """A text without a recording is a finding; a recording without a text is a row for the audit."""
    pair(tmp_path, "001", "one")
    (tmp_path / "002.txt").write_text("two")
    sound(tmp_path / "003.wav")
    read = readers.read(tmp_path)
    assert texts(read) == {"001": "one", "003": ""}
    assert faults(read) == [("002.txt", "missing")]


def test_files_that_are_no_wav_stay_rows(tmp_path: Path) -> None:
    """Empty and foreign audio is left to the audit, which names the mend."""
    (tmp_path / "a.wav").write_bytes(b"")
    (tmp_path / "b.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    assert [u.duration_sec for u in readers.read(tmp_path).utterances] == [0.0, 0.0]


def test_a_text_in_latin_1(tmp_path: Path) -> None:
    """The guess is the row's text and the finding's proposal."""
    sound(tmp_path / "a.wav")
    (tmp_path / "a.txt").write_bytes("Grüße".encode("latin-1"))
    read = readers.read(tmp_path)
    assert (only(read).row, only(read).check, only(read).action) == ("a", "encoding", Action.SET_TEXT)
    assert only(read).text == texts(read)["a"] == "Grüße"


def test_links_are_not_followed_out(tmp_path: Path) -> None:
    """Recordings, texts and folders that are links out of the folder are findings and stay unread."""
    pair(tmp_path / "elsewhere", "secret", "secret")
    root = tmp_path / "set"
    pair(root, "001", "one")
    (root / "002.wav").symlink_to(tmp_path / "elsewhere/secret.wav")
    sound(root / "003.wav")
    (root / "003.txt").symlink_to(tmp_path / "elsewhere/secret.txt")
    (root / "more").symlink_to(tmp_path / "elsewhere")
    read = readers.read(root)
    assert texts(read) == {"001": "one", "003": ""}
    assert faults(read) == [("more", "missing"), ("002.wav", "missing"), ("003", "missing")]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system refuses such names")
def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    """Such a name could not be written into any manifest."""
    pair(tmp_path, "001", "one")
    sound(tmp_path / "x.wav").rename(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    assert faults(readers.read(tmp_path)) == [("caf?.wav", "encoding")]


def test_the_checksum_is_of_names_sizes_and_texts(tmp_path: Path) -> None:
    """The same set elsewhere is the same; a changed text or recording is not."""
    for name in ("x", "y"):
        pair(tmp_path / name, "001", "one")
    first = readers.read(tmp_path / "x").sha256
    assert readers.read(tmp_path / "y").sha256 == first
    (tmp_path / "x/001.txt").write_text("two")
    sound(tmp_path / "y/001.wav", 0.2)
    assert len({first, readers.read(tmp_path / "x").sha256, readers.read(tmp_path / "y").sha256}) == 3


def test_a_folder_of_texts_alone(tmp_path: Path) -> None:
    """Where there is no recording at all there is nothing to read."""
    (tmp_path / "001.txt").write_text("one")
    with pytest.raises(BadInput, match="holds no dataset that is known"):
        readers.read(tmp_path)
