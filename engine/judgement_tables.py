"""Judgements from a CSV file that somebody brings: comparisons for a ranking, a matrix of ratings for agreement.

Knows columns and cells; decides nothing about what they mean. A row that cannot be used is an error that names file,
row, column and the mend: an answer that was silently left out would be a wrong result.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.statistics.agreement import MeasurementLevel
from engine.statistics.comparison import OUTCOMES, Comparison
from engine.types import BadInput, Choice, NotFound

NEEDED = ("a", "b", "outcome")
OPTIONAL = ("rater", "line")
MISSING = frozenset(("", "*", "na", "n/a", "nan"))  # in lower case
MOST_TOLD = 5


@dataclass(frozen=True, kw_only=True)
class RatingTable:
    """`ratings[r][i]`: what rater r said of item i; None where it is missing."""

    raters: tuple[str, ...]
    items: tuple[str, ...]
    ratings: tuple[tuple[str | float | None, ...], ...]

    def units(self) -> list[list[str | float]]:
        """The answers about each item, without the missing ones."""
        return [[x for x in column if x is not None] for column in zip(*self.ratings, strict=True)]


def comparisons(path: Path) -> list[Comparison]:
    """Rows of `a,b,outcome`, perhaps with `rater` and `line`; other columns are left alone.

    `a` was played first; the outcome is a, b or tie. Raises NotFound, BadInput.
    """
    rows = _rows(path)
    header = [name.strip().lower() for name in rows[0][1]]
    if lacking := [name for name in NEEDED if name not in header]:
        told = ", ".join(header) or "nothing"
        raise BadInput(
            f"{path}, row 1: no column {', '.join(lacking)} (there is {told}); "
            "the first row names the columns a, b, outcome and, if known, rater and line."
        )
    if twice := sorted({name for name in header if name in NEEDED + OPTIONAL and header.count(name) > 1}):
        raise BadInput(f"{path}, row 1: the column {', '.join(twice)} is there twice; leave one.")
    found: list[Comparison] = []
    faults: list[str] = []
    for number, cells in rows[1:]:
        values = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        if fault := _fault(values):
            faults.append(f"row {number}, {fault}")
            continue
        choice = Choice(values["outcome"].lower())
        found.append(Comparison(values["a"], values["b"], choice, values.get("rater", ""), values.get("line", "")))
    if faults:
        raise BadInput(_told(path, faults))
    if not found:
        raise BadInput(f"{path} has a header and no rows; each row is one judgment: a, b, outcome.")
    _check_clusters(path, found)
    return found


def ratings(path: Path, level: MeasurementLevel) -> RatingTable:
    """A matrix: a row a rater, a column an item; an empty cell (or *, NA) is missing.

    A first row of item names and a first column of rater names are recognised where they cannot be ratings: words at a
    level of numbers; at the nominal level words that occur nowhere else. Raises NotFound, BadInput.
    """
    rows = _rows(path)
    width = len(rows[0][1])
    if faults := [
        f"row {number} has {len(cells)} cells where row {rows[0][0]} has {width}; "
        "write every item's cell, empty if missing"
        for number, cells in rows
        if len(cells) != width
    ]:
        raise BadInput(_told(path, faults))
    grid = [[cell.strip() for cell in cells] for _, cells in rows]
    numbers = [number for number, _ in rows]
    has_names = len(grid) > 1 and _are_names([row[0] for row in grid[1:]], [row[1:] for row in grid[1:]], level)
    has_header = len(grid) > 1 and _are_names(grid[0][has_names:], [row[has_names:] for row in grid[1:]], level)
    body = grid[has_header:]
    parsed, faults = _parsed(body, numbers[has_header:], level, first=int(has_names))
    if faults:
        raise BadInput(_told(path, faults))
    if not parsed or not parsed[0]:
        raise BadInput(f"{path} has no ratings; a row is a rater, a column an item.")
    return RatingTable(
        raters=tuple(row[0] if has_names else f"row {n}" for row, n in zip(body, numbers[has_header:], strict=True)),
        items=tuple(grid[0][has_names:] if has_header else (f"column {n}" for n in range(1, len(parsed[0]) + 1))),
        ratings=tuple(tuple(row) for row in parsed),
    )


# --------------------------------------------------------------------------------------------------------------- inside
def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Rows with their line numbers, blank lines left out."""
    if not path.is_file():
        raise NotFound(f"There is no file {path}; name a CSV file.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, cells) for cells in reader if cells]
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text ({error.reason}); save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise BadInput(f"{path}, row {reader.line_num}: {error}; mend the quotes of that row.") from error
    if not rows:
        raise BadInput(f"{path} is empty.")
    return rows


def _fault(values: dict[str, str]) -> str:
    """What is wrong with a row of comparisons, with the mend; empty when nothing is."""
    for column in NEEDED:
        if not values.get(column):
            return f"column {column}: empty; write {'a, b or tie' if column == 'outcome' else 'a name'}"
    if values["outcome"].lower() not in {choice.value for choice in OUTCOMES}:
        return f"column outcome: {values['outcome']!r} is none of a, b, tie; write one of them"
    if values["a"] == values["b"]:
        return f"column b: {values['b']!r} is compared with itself; leave that row (a catch trial?) out"
    return ""


def _check_clusters(path: Path, found: Sequence[Comparison]) -> None:
    """Half a column of raters would make one cluster of all that have none."""
    for column in OPTIONAL:
        given = [bool(getattr(c, column)) for c in found]
        if any(given) and not all(given):
            raise BadInput(
                f"{path}, judgment {given.index(False) + 1}, column {column}: empty, while others have it; "
                f"name the {column} of every judgment or leave the column out."
            )


def _are_names(edge: Sequence[str], rest: Sequence[Sequence[str]], level: MeasurementLevel) -> bool:
    """Whether the cells of an edge name what lies behind them, rather than being ratings."""
    told = [cell for cell in edge if cell.lower() not in MISSING]
    if level is not MeasurementLevel.NOMINAL:
        return bool(told) and all(_number(cell) is None for cell in told)
    inside = {cell for row in rest for cell in row}
    all_numbers = all(_number(cell) is not None for cell in inside if cell.lower() not in MISSING)
    apart = len(set(told)) == len(told) > 1 and not inside.intersection(told)
    return apart and (any(_number(cell) is None for cell in told) if all_numbers else True)


def _parsed(
    body: Sequence[Sequence[str]], numbers: Sequence[int], level: MeasurementLevel, *, first: int
) -> tuple[list[list[str | float | None]], list[str]]:
    parsed: list[list[str | float | None]] = []
    faults: list[str] = []
    for number, row in zip(numbers, body, strict=True):
        cells: list[str | float | None] = []
        for column, cell in enumerate(row[first:], start=first + 1):
            value, fault = _rating(cell, level)
            cells.append(value)
            if fault:
                faults.append(f"row {number}, column {column}: {fault}")
        parsed.append(cells)
    return parsed, faults


def _rating(cell: str, level: MeasurementLevel) -> tuple[str | float | None, str]:
    if cell.lower() in MISSING:
        return None, ""
    value = _number(cell)
    if value is None:
        if level is MeasurementLevel.NOMINAL:
            return cell, ""
        return None, f"{cell!r} is no number; write one, or leave the cell empty if it is missing"
    if level is MeasurementLevel.RATIO and value < 0:
        return None, f"{cell} is negative, and a ratio scale starts at 0; use --level interval"
    return value, ""


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _told(path: Path, faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - MOST_TOLD} more rows like these" if len(faults) > MOST_TOLD else ""
    return f"{path}: {'; '.join(faults[:MOST_TOLD])}{more}."
