"""Lines of text: encodings are told line by line, and no text is cut where it has a strange end of line in it."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.readers.text_lines import Line, lines, writable


@pytest.mark.parametrize(
    "content",
    [
        b"a\nb\n",
        b"a\r\nb\r\n",
        b"a\rb\r",
        codecs.BOM_UTF8 + b"a\n\nb",
        codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le"),
        codecs.BOM_UTF16_BE + "a\r\nb".encode("utf-16-be"),
    ],
)
def test_ends_of_lines_and_marks(content: bytes) -> None:
    """Unix, Windows and old Mac files are the same rows, with or without a mark."""
    assert [line.text for line in lines(content)] == ["a", "b"]


def test_a_line_that_is_not_utf8_is_guessed_alone() -> None:
    """One line in Latin-1 leaves the others certain."""
    found = list(lines("né\n".encode() + "café\n".encode("latin-1") + b"x\x81\n"))
    assert found == [Line(1, "né"), Line(2, "café", False), Line(3, "x\x81", False)]


def test_separators_inside_a_text_stay() -> None:
    """U+2028 and U+0085 are characters of a text here, not ends of a line."""
    assert [line.text for line in lines("a\u2028b\x85c\n".encode())] == ["a\u2028b\x85c"]


def test_half_characters_are_replaced() -> None:
    """JSON can name half a character, which no file can hold."""
    assert writable("a\ud83d") == "a\ufffd"


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_any_bytes_are_lines(content: bytes) -> None:
    """Whatever the bytes, there are lines, and every one can be written as UTF-8."""
    assert all(line.text.encode() and line.number >= 1 for line in lines(content))
