"""Answers as JSON and as tables for people. Knows records in general and none in particular."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TextIO


def jsonable(value: Any) -> Any:
    """Records as objects, paths and enums as strings, NaN and infinity as null: valid JSON whatever a measure said."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return jsonable(value.value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(jsonable(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def dump(value: Any) -> str:
    """`value` as JSON text."""
    return json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> str:
    """Columns under their headers; numbers to the right, the last column as long as it likes. `empty` when there are
    no rows.
    """
    if not rows:
        return empty
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[column]) for line in (list(headers), *cells)) for column in range(len(headers))]
    right = [all(isinstance(row[column], int | float | None) for row in rows) for column in range(len(headers))]

    def line(values: Sequence[str]) -> str:
        padded = [v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True)]
        return "  ".join(padded).rstrip()

    return "\n".join([line(headers), line(["-" * width for width in widths]), *map(line, cells)])


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value.value if isinstance(value, Enum) else value)


def seconds(value: float) -> str:
    """A duration for people: 4.2 s, 3 min 5 s."""
    if value < 60:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def day(at: float) -> str:
    """The date of a moment, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def size(count: float) -> str:
    """A number of bytes for people, decimal as on the pages."""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def progress(stream: TextIO | None = None) -> Callable[[int, int, str], None]:
    """A progress line on stderr: rewritten in place on a terminal, else one line a tenth."""
    out = stream or sys.stderr
    shown = [-1]

    def tell(done: int, total: int, message: str) -> None:
        tenth = 10 * done // max(1, total)
        if out.isatty():
            out.write(f"\r{message} {done} of {total}\033[K" + ("\n" if done >= total else ""))
        elif tenth != shown[0]:
            out.write(f"{message} {done} of {total}\n")
        shown[0] = tenth
        out.flush()

    return tell
