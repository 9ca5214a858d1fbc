"""A DuckDB file as it is opened and written to: one process, whole transactions, rows numbered by arrival.

Knows DuckDB, and which rows a transaction added, so that `store` can tell the journal before it commits. Knows no
record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import duckdb

from engine.store.journal import Entry
from engine.store.rows import Row
from engine.types import BadInput, Busy

NOT_JOURNALED = ("scores",)  # screening again gives them again


def connect(name: str) -> duckdb.DuckDBPyConnection:
    """Open a database. Raises Busy naming the process that holds it, BadInput for a file that is none."""
    try:
        return duckdb.connect(name)
    except duckdb.IOException as error:
        told = str(error)
        if not re.search(r"lock|being used by another process|already open", told):
            raise BadInput(
                f"{name} cannot be opened as a database ({told.splitlines()[0]}); move it away to start anew."
            ) from error
        pid = re.search(r"PID (\d+)", told)
        who = f"process {pid[1]}" if pid else "another process"
        raise Busy(f"{name} is held by {who}; close Earmark there, then try again.") from error


class Transaction:
    """What one transaction reads, and the rows that it adds, for the journal."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self.added: list[Entry] = []

    def fetch(self, query: str, given: Sequence[object] = ()) -> list[Row]:
        self._cursor.execute(query, list(given))
        names = [column[0] for column in self._cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()]

    def insert(self, table: str, records: Sequence[Row], *, known: str = "") -> None:
        """Append rows; `known` names the key under which a row that is there already is left as it is."""
        if not records:
            return
        seqs = [row["seq"] for row in self.fetch("SELECT nextval('arrival') AS seq FROM range($1)", [len(records)])]
        numbered = [{"seq": seq, **record} for seq, record in zip(seqs, records, strict=True)]
        self._put(table, numbered, f"ON CONFLICT {known} DO NOTHING" if known else "")
        if table in NOT_JOURNALED:
            return
        if not known:  # all of them are new, or the statement would have failed
            self.added += [Entry(table=table, row=row) for row in numbered]
            return
        new = {row["seq"] for row in self.fetch(f"SELECT seq FROM {table} WHERE seq = ANY($1)", [seqs])}
        self.added += [Entry(table=table, row=row) for row in numbered if row["seq"] in new]

    def replay(self, entries: Sequence[Entry]) -> None:
        """Add rows as the journal has them, and let the numbers of later ones come after theirs."""
        keyed = {row["table_name"] for row in self.fetch("SELECT table_name FROM duckdb_constraints()")}
        for entry in entries:
            self._put(entry.table, [dict(entry.row)], "ON CONFLICT DO NOTHING" if entry.table in keyed else "")
        if entries:
            last = max(entry.seq for entry in entries)
            while self.fetch("SELECT nextval('arrival') AS seq")[0]["seq"] < last:
                continue

    def _put(self, table: str, records: Sequence[Row], on_conflict: str) -> None:
        columns = ", ".join(records[0])
        if len(records) == 1:
            places = ", ".join("?" for _ in records[0])
            statement = f"INSERT INTO {table} ({columns}) VALUES ({places}) {on_conflict}"
            self._cursor.execute(statement, list(records[0].values()))
            return
        # A column at a time: for thousands of rows 60 times faster than row by row.
        lists = ", ".join(f"unnest(${place})" for place in range(1, len(records[0]) + 1))
        statement = f"INSERT INTO {table} ({columns}) SELECT {lists} {on_conflict}"
        self._cursor.execute(statement, [[record[name] for record in records] for name in records[0]])
