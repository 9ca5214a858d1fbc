"""LJSpeech tables: two or three fields, a folder of clips, and lines that are not such rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import readers
from engine.types import Action, BadInput, Severity
from tests.readers.sources import only, sound, texts


@pytest.mark.parametrize("folder", ["wavs", "clips", "."])
def test_the_layout(tmp_path: Path, folder: str) -> None:
    """Normalised text is preferred, quotes mean themselves, and the id's first half is the recording."""
    sound(tmp_path / folder / "LJ001-0001.wav")
    sound(tmp_path / folder / "LJ002-0001.wav")
    (tmp_path / "metadata.csv").write_text('LJ001-0001|Dr. "Who"|Doctor "Who"\nLJ002-0001|only text\n')
    for path in (tmp_path, tmp_path / "metadata.csv"):
        first, second = readers.read(path).utterances
        assert (first.id, first.text, first.group, first.line) == ("LJ001-0001", 'Doctor "Who"', "LJ001", 1)
        assert (second.text, second.recording, second.duration_sec) == ("only text", "LJ002", pytest.approx(0.1))


def test_an_empty_third_field_leaves_the_second(tmp_path: Path) -> None:
    """A normalised text that is not there is not an empty text."""
    sound(tmp_path / "wavs/a.wav")
    (tmp_path / "metadata.csv").write_text("a|some text|\n")
    assert texts(readers.read(tmp_path)) == {"a": "some text"}


def test_clips_that_were_moved_or_converted(tmp_path: Path) -> None:
    """A clip in another folder, or with another suffix, is found by its id."""
    sound(tmp_path / "clips/a.wav")
    sound(tmp_path / "elsewhere/b.aiff")
    (tmp_path / "metadata.csv").write_text("a|one\nb|two\nc|three\n")
    read = readers.read(tmp_path)
    assert read.utterances[1].audio_path == tmp_path / "elsewhere/b.aiff"
    assert read.utterances[2].audio_path == tmp_path / "clips/c.wav"  # nowhere: named where the others lie
    assert (only(read).row, only(read).check) == ("b", "missing")


def test_file_lists_with_paths(tmp_path: Path) -> None:
    """A first field that is a path, as in VITS's lists, is used as one."""
    sound(tmp_path / "x/a.wav")
    (tmp_path / "train.txt").write_text("x/a.wav|hello\n/old/x/a.wav|again\n")
    read = readers.read(tmp_path / "train.txt")
    assert texts(read) == {"a": "hello", "a-2": "again"}
    assert only(read).check == "missing"


@pytest.mark.parametrize("line", ["just text", "a|b|c|d", "|text", "\x00\x01"])
def test_a_line_of_another_shape_loses_itself_alone(tmp_path: Path, line: str) -> None:
    """The finding names the line, the others are read."""
    sound(tmp_path / "wavs/a.wav")
    (tmp_path / "metadata.csv").write_text(f"a|fine\n{line}\nb|also fine\n")
    read = readers.read(tmp_path)
    assert (only(read).row, only(read).check, only(read).severity) == ("line 2", "unreadable", Severity.ERROR)
    assert texts(read) == {"a": "fine", "b": "also fine"}
    assert read.utterances[1].duration_sec == 0.0  # missing: the audit says so


def test_a_text_in_latin_1_is_guessed_and_said(tmp_path: Path) -> None:
    """The row is kept with the guess, as an error that setting the text mends."""
    sound(tmp_path / "wavs/a.wav")
    (tmp_path / "metadata.csv").write_bytes(b"a|" + "caf\xe9 “x”".encode("cp1252") + b"\nb|plain\n")
    read = readers.read(tmp_path)
    found = only(read)
    assert (found.row, found.check, found.severity, found.action) == (
        *("a", "encoding"),
        *(Severity.ERROR, Action.SET_TEXT),
    )
    assert found.text == texts(read)["a"] == "café “x”"


def test_ids_that_are_given_twice(tmp_path: Path) -> None:
    """The second gets a number, and the finding names both."""
    (tmp_path / "metadata.csv").write_text("a|one\nA|two\na|three\n")
    read = readers.read(tmp_path)
    assert list(texts(read)) == ["a", "A-2", "a-3"]
    assert [(f.row, f.check, f.other) for f in read.faults] == [("A-2", "duplicate", "a"), ("a-3", "duplicate", "a")]


def test_no_rows(tmp_path: Path) -> None:
    """An empty table is one sentence."""
    (tmp_path / "metadata.csv").write_text("\n")
    with pytest.raises(BadInput, match="it has no rows"):
        readers.read(tmp_path)
