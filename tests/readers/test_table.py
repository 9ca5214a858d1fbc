"""Tables with a header: delimiters, quotes over lines, and broken rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import readers
from engine.readers import table
from tests.readers.sources import faults, only, sound, texts


@pytest.mark.parametrize("delimiter", table.DELIMITERS)
def test_delimiters(tmp_path: Path, delimiter: str) -> None:
    """Comma, tab, bar and semicolon are told by the header."""
    sound(tmp_path / "a.wav")
    rows = [["Audio", "text", "speaker"], ["a.wav", "hello", "ada"]]
    (tmp_path / "data.csv").write_text("\n".join(delimiter.join(row) for row in rows))
    read = readers.read(tmp_path)
    assert (texts(read), read.utterances[0].speaker, read.utterances[0].line) == ({"a": "hello"}, "ada", 2)


def test_quotes_may_hold_the_delimiter_and_ends_of_lines(tmp_path: Path) -> None:
    """A quoted cell goes on over lines; numbers of lines stay those of the file."""
    sound(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_text('audio,text\na.wav,"one, ""two""\nthree"\n\nb.wav\n')
    read = readers.read(tmp_path / "m.csv")
    assert texts(read) == {"a": 'one, "two"\nthree'}
    assert faults(read) == [("line 5", "unreadable")]


def test_a_quote_that_does_not_end_loses_one_row(tmp_path: Path) -> None:
    """An open quote does not swallow the rest of the table."""
    lines = ["audio,text", 'x0.wav,"open'] + [f"x{i}.wav,text {i}" for i in range(1, 40)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    read = readers.read(tmp_path / "m.csv")
    assert len(read.utterances) == 39
    assert only(read).row == "line 2"
    assert "a quote that does not end" in only(read).explanation


def test_a_quote_that_ends_in_another_row(tmp_path: Path) -> None:
    """A row that would swallow its neighbours is lost by itself, and each of them is looked at anew."""
    (tmp_path / "m.csv").write_text(
        'audio,text\na.wav,"open\nb.wav,fine"\nc.wav,"open\nstill, ""so"\nd.wav,"x\ny", z, w\n'
    )
    read = readers.read(tmp_path / "m.csv")
    assert texts(read) == {"b": 'fine"', "c": 'open\nstill, "so'}
    assert faults(read) == [("line 2", "unreadable"), ("line 6", "unreadable"), ("line 7", "unreadable")]


def test_a_row_in_latin_1(tmp_path: Path) -> None:
    """Only the row that had to be guessed is marked, with its text as the proposal."""
    (tmp_path / "m.csv").write_bytes("audio,text\na.wav,plain\nb.wav,café\n".encode("latin-1"))
    read = readers.read(tmp_path / "m.csv")
    assert (only(read).row, only(read).check, only(read).text) == ("b", "encoding", "café")


def test_a_row_with_another_number_of_fields(tmp_path: Path) -> None:
    """Text with a comma and no quotes is named with the mend."""
    (tmp_path / "m.csv").write_text("audio,text\na.wav,well, hello\nb.wav,fine\n")
    read = readers.read(tmp_path / "m.csv")
    assert "line 2 has 3 fields where the header has 2" in only(read).explanation
    assert texts(read) == {"b": "fine"}
