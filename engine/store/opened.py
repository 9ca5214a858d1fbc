"""The database as it is held open: one connection, a cursor an operation, one transaction for whatever is kept.

Knows transactions and the journal, and nothing of what the tables say.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self, TypeVar

import duckdb

from engine.store import database, migrations
from engine.store.database import NOT_JOURNALED, Transaction
from engine.store.journal import Entry, JudgementJournal
from engine.store.rows import Row
from engine.types import BadInput, NotFound, Refused

Result = TypeVar("Result")

MEMORY = ":memory:"
JOURNAL = "judgements.jsonl"  # beside the database


class OpenDatabase:
    """An open database. Raises Busy when another process holds it, BadInput when it is no database or of a newer
    Earmark.
    """

    def __init__(self, path: Path | str, *, clock: Callable[[], float] = time.time) -> None:
        self._name = str(path)
        self._home = None if self._name == MEMORY else Path(path).absolute().parent
        self._connection = database.connect(self._name)
        # `cursor()` on one connection from many threads is not promised to be safe; the work on cursors is.
        self._cursors = threading.Lock()
        self._journal = JudgementJournal(self._home / JOURNAL if self._home else None)
        try:
            migrations.apply(self._connection, now=clock(), where=self._name)
            self.restored = self._agree_with_journal()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file. Closing twice does nothing."""
        self._connection.close()

    def parquet(self, columns: Mapping[str, str], records: Sequence[Row]) -> bytes:
        """Records as a Parquet file; `columns` maps each name to its type. Nothing of it is kept."""
        with tempfile.TemporaryDirectory(prefix="earmark-") as folder, closing(self._cursor()) as cursor:
            file = Path(folder) / "rows.parquet"
            named = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            lists = ", ".join(f"unnest(${place}::{kind}[])" for place, kind in enumerate(columns.values(), start=1))
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE exported ({named})")
            if records:
                values = [[record[name] for record in records] for name in columns]
                cursor.execute(f"INSERT INTO exported SELECT {lists}", values)
            cursor.execute(f"COPY exported TO '{file.as_posix()}' (FORMAT parquet)")
            cursor.execute("DROP TABLE exported")
            return file.read_bytes()

    # ----------------------------------------------------------------------------------------------------------- inside
    def _rows(self, query: str, given: Sequence[object] = ()) -> list[Row]:
        with closing(self._cursor()) as cursor:
            return Transaction(cursor).fetch(query, given)

    def _add(self, table: str, records: Sequence[Row], *, known: str = "") -> None:
        self._write(lambda transaction: transaction.insert(table, records, known=known))

    def _write(self, work: Callable[[Transaction], Result]) -> Result:
        """Run `work` in one transaction; once more when another thread's transaction was in its way."""
        try:
            return self._attempt(work)
        except duckdb.TransactionException:
            return self._attempt(work)

    def _attempt(self, work: Callable[[Transaction], Result]) -> Result:
        with closing(self._cursor()) as cursor:  # closing a cursor rolls back what it did not commit
            cursor.begin()
            transaction = Transaction(cursor)
            try:
                result = work(transaction)
            except duckdb.ConstraintException as error:
                raise Refused(
                    f"This is in {self._name} already, and what was judged is not overwritten ({error})."
                ) from error
            except duckdb.InvalidInputException as error:
                raise BadInput(f"This record cannot be kept ({error}); correct the text and try again.") from error
            with self._journal.committing(transaction.added):
                cursor.commit()
            return result

    def _agree_with_journal(self) -> int:
        """Bring rows that only the journal has into the database, and the other way round; returns how many of the
        former.

        A crash between the two, a database that was removed, one of an Earmark before there was a journal: all end
        here. Raises BadInput for a journal of another database.
        """
        kept = self._journal.read()
        tables = [table for table in migrations.TABLES if table not in NOT_JOURNALED]
        have = {row["seq"]: table for table in tables for row in self._rows(f"SELECT seq FROM {table}")}
        for seq, entry in kept.entries.items():
            if entry.table not in migrations.TABLES or have.get(seq, entry.table) != entry.table:
                raise BadInput(f"{self._journal.path} is of another database than {self._name}; move one of them away.")
        self._journal.append(
            [
                Entry(table=table, row=row)
                for table in tables
                for row in self._rows(f"SELECT * FROM {table} ORDER BY seq")
                if row["seq"] not in kept.entries
            ]
            if have.keys() - kept.entries.keys()
            else []
        )
        missing = [entry for seq, entry in kept.entries.items() if seq not in have]
        with closing(self._cursor()) as cursor:
            cursor.begin()
            Transaction(cursor).replay(missing)
            cursor.commit()
        return len(missing)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._cursors:
            return self._connection.cursor()


def one(found: Sequence[Row], what: str, name: str) -> Row:
    """The one row that was found. Raises NotFound."""
    if not found:
        raise NotFound(f"There is no {what} {name!r}; list them to see what there is.")
    return found[0]
