"""Tables with a header line: comma, semicolon, tab or `|`, quoted or not.

Knows how a delimiter is told and how a row goes on over lines inside quotes. A broken row loses itself alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine import audio
from engine.readers import fields
from engine.readers.row import Item, lost
from engine.readers.text_lines import Line, lines

DELIMITERS = (",", "\t", "|", ";")
LONGEST_ROW = 20  # lines that a quoted cell may go on


def header(content: bytes) -> tuple[str, list[str]] | None:
    """(delimiter, column names) when the first line names an audio column among others; None when it is no header."""
    first = next(lines(content), None)
    if first is None:
        return None
    for delimiter in DELIMITERS:
        names = _cells([first.text], delimiter)
        if names is not None and len(names) > 1:
            names = [name.strip().lower() for name in names]
            if fields.knows_audio(names) or {"path", "text"} <= set(names):
                return delimiter, names
    return None


def rows(content: bytes, base: Path, *, of: str = "", split: str = "") -> Iterator[Item]:
    """Each row below the header, or the finding of why it is lost. `content` has a header, see `header`."""
    told = header(content)
    if told is None:
        return
    delimiter, names = told
    there = list(lines(content))[1:]
    at = 0
    while at < len(there):
        cells, used = _row(there[at : at + LONGEST_ROW], delimiter, len(names))
        line = Line(there[at].number, "", all(x.sure for x in there[at : at + used]))
        name = f"{of}line {line.number}"
        if cells is None:
            counted = _cells([there[at].text], delimiter)
            found = (
                "a quote that does not end" if counted is None else f"{len(counted)} field{'s' * (len(counted) != 1)}"
            )
            said = f"{name} has {found} where the header has {len(names)} fields: {there[at].text[:60]!r}."
            yield lost(name, said, "Correct the line; put a text that has the delimiter in it into double quotes.")
        else:
            values = dict(zip(names, cells, strict=True))
            yield fields.row_of(values, line, base, label=name if of else "", split=split)
        at += used


def _row(following: Sequence[Line], delimiter: str, width: int) -> tuple[list[str] | None, int]:
    """(cells, lines used): the fewest lines that make a row as wide as the header; (None, 1) when none do."""
    for used in range(1, len(following) + 1):
        if used > 1 and _begins_a_row(following[used - 1].text, delimiter):
            return None, 1
        cells = _cells([line.text for line in following[:used]], delimiter)
        if cells is not None:
            return (cells, used) if len(cells) == width else (None, 1)
    return None, 1


def _begins_a_row(text: str, delimiter: str) -> bool:
    """Whether a line that would go on with an open quote is rather the next row: it names a recording first."""
    return text.partition(delimiter)[0].strip(' "').lower().endswith(audio.READABLE + audio.FOREIGN)


def _cells(texts: Sequence[str], delimiter: str) -> list[str] | None:
    """One record of a table; None when it does not end within these lines, or is not one."""
    reader = csv.reader([text + "\n" for text in texts], delimiter=delimiter, strict=True)
    try:
        cells = next(reader)
        return [cell.strip() for cell in cells] if next(reader, None) is None else None
    except (csv.Error, StopIteration):
        return None
