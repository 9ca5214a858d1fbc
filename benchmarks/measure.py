"""Timing in turns, and tables. Knows nothing of what is measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WARM_UP_TURNS = 1


@dataclass(frozen=True)
class Row:
    """One line of a table: what was measured, how it came out, what was aimed at."""

    what: str
    value: str
    ratio: str = ""
    aim: str = ""


@dataclass(frozen=True)
class Table:
    """A titled table with the sentence that says how to read it."""

    title: str
    rows: Sequence[Row]
    note: str = ""

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = [f"## {self.title}", "", "| what | measured | ratio | aim |", "|---|--:|--:|---|"]
        lines += [f"| {row.what} | {row.value} | {row.ratio} | {row.aim} |" for row in self.rows]
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])


def in_turns(work: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Median seconds of each piece of work, one of each a turn: what else the machine does hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(WARM_UP_TURNS + turns):
        for name, run in work.items():
            begin = time.perf_counter()
            run()
            if turn >= WARM_UP_TURNS:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(found) for name, found in seconds.items()}


def spread(seconds: Sequence[float]) -> str:
    """Median with the fastest and slowest, in seconds."""
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
