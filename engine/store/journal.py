"""`judgements.jsonl`: every row that the database keeps of what people judged, as plain lines beside it.

Knows lines: one a transaction, written through to the disk before the database commits, so that a database that is
lost or damaged loses no verdict. A transaction that then fails is made void by a line of its own. Knows no SQL and
nothing of what the rows mean; `store` compares the two whenever it opens.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from errno import ENOSPC
from pathlib import Path
from typing import Any

from engine.types import DiskFull


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of one table. `row["seq"]` is its place in the order of arrival, unique over all tables."""

    table: str
    row: Mapping[str, Any]

    @property
    def seq(self) -> int:
        return int(self.row["seq"])


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What a journal holds: the rows that are not void, by their `seq`, and the numbers of lines nobody can read."""

    entries: Mapping[int, Entry] = field(default_factory=dict)
    damaged: tuple[int, ...] = ()


class JudgementJournal:
    """The one writer of a journal. Safe to call from several threads. `path` None: nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        """Cuts off what a killed writer left torn at the end."""
        self.path = path
        self._guard = threading.RLock()  # keeps lines whole, and a void line behind what it makes void
        if path is not None and path.exists():
            _cut_torn_line(path)

    @contextmanager
    def committing(self, entries: Sequence[Entry]) -> Iterator[None]:
        """Write the rows, then let the block commit them; a block that raises makes them void.

        Raises DiskFull, with the file as it was, when there is no room.
        """
        if not entries or self.path is None:
            yield
            return
        with self._guard:
            self.append(entries)
            try:
                yield
            except BaseException:
                self._write({"void": [entry.seq for entry in entries]})
                raise

    def append(self, entries: Sequence[Entry]) -> None:
        """Write rows that are in the database already."""
        if entries and self.path is not None:
            self._write({"rows": [[entry.table, dict(entry.row)] for entry in entries]})

    def read(self) -> Kept:
        """Everything that is in force, in the order of arrival."""
        if self.path is None or not self.path.exists():
            return Kept()
        found: dict[int, Entry] = {}
        damaged: list[int] = []
        with self.path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    _take(found, json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError):
                    damaged.append(number)
        return Kept(entries=dict(sorted(found.items())), damaged=tuple(damaged))

    def _write(self, told: Mapping[str, Any]) -> None:
        assert self.path is not None
        line = json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        with self._guard, self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(line) < len(line):  # a full disk may take a part of it without an error
                    raise OSError(ENOSPC, "short write")
                os.fsync(file.fileno())
            except OSError as error:
                file.truncate(before)
                if error.errno == ENOSPC:
                    raise DiskFull(
                        f"{self.path} cannot grow: the disk is full; make room and do it again, nothing was kept of it."
                    ) from error
                raise


def _take(found: dict[int, Entry], told: Mapping[str, Any]) -> None:
    if "void" in told:
        for seq in told["void"]:
            found.pop(int(seq), None)
        return
    entries = [Entry(table=str(table), row=dict(row)) for table, row in told["rows"]]
    found.update({entry.seq: entry for entry in entries})


def _cut_torn_line(path: Path) -> None:
    """A line without its line feed was never finished: its transaction was not committed either."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        whole = end
        while whole > 0:
            begin = max(0, whole - 65_536)
            file.seek(begin)
            block = file.read(whole - begin)
            if (at := block.rfind(b"\n")) >= 0:
                whole = begin + at + 1
                break
            whole = begin
        if whole < end:
            file.truncate(whole)
