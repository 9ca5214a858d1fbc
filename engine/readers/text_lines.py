"""Bytes as lines of text: UTF-8 with or without a mark, UTF-16 with one, and a guess for a line that is neither.

Knows encodings and ends of lines. A broken line never hides its neighbours: each is decoded by itself.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Line:
    """A line without its end. `sure` is False when its encoding had to be guessed."""

    number: int  # from 1
    text: str
    sure: bool = True


def lines(content: bytes) -> Iterator[Line]:
    """Every line that is not blank. Only LF, CRLF and lone CR end one: a text may hold U+2028 or U+0085."""
    for mark, encoding in _UTF16.items():
        if content.startswith(mark):
            content = content[len(mark) :].decode(encoding, errors="replace").encode("utf-8", errors="replace")
            break
    content = content.removeprefix(codecs.BOM_UTF8)
    end = b"\n" if b"\n" in content else b"\r"
    for number, raw in enumerate(content.split(end), start=1):
        text, sure = decoded(raw.removesuffix(b"\r"))
        if text.strip():
            yield Line(number, text, sure)


def decoded(raw: bytes) -> tuple[str, bool]:
    """Text, and whether it is certain: bytes that are not UTF-8 are read as Windows-1252, which is how most are meant.

    Bytes that Windows-1252 leaves open are read as Latin-1, so there always is a text.
    """
    try:
        return raw.decode("utf-8"), True
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode("cp1252"), False
    except UnicodeDecodeError:
        return raw.decode("latin-1"), False


def writable(text: str) -> str:
    """Without halves of characters (`\\ud83d` alone), which JSON can name and no file can hold."""
    return _LONE_SURROGATES.sub("\ufffd", text)
