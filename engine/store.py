"""`evaluations.duckdb`: everything that people judged, and what they judged it on. All SQL is here.

Knows rows in, records out. Knows nothing of audio, models or pages, and decides nothing. Judgements are append-only:
no statement here updates or deletes a row; of several rows about one thing the latest is in force. DuckDB lets one
process hold the file, so only the app opens it; a trainer writes files. A `Store` may be used from many threads: every
operation takes a cursor of its own, and what is written is on disk when the method returns. All but the screeners'
scores, which can be had again, is also in a journal of plain lines; opening makes the two agree, in either direction.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import duckdb

from engine import database, listening, migrations, rows
from engine.database import NOT_JOURNALED, Transaction
from engine.judgement_journal import Entry, JudgementJournal
from engine.rows import Row
from engine.types import (
    BadInput,
    Clip,
    NotFound,
    Promotion,
    Refused,
    Response,
    Score,
    Session,
    Slot,
    Trial,
    Verdict,
)

Result = TypeVar("Result")

MEMORY = ":memory:"
JOURNAL = "judgements.jsonl"  # beside the database


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something a named person did that is neither an answer nor a verdict: a trash, an undo, a purge, an export."""

    seq: int
    kind: str
    who: str
    data: Mapping[str, Any]
    at: float


class Store:
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

    # ------------------------------------------------------------------------------------------------- clips and scores
    def add_clips(self, clips: Iterable[Clip]) -> None:
        """Keep rendered clips. A clip that is known for its candidate stays as it is: the content key names its
        content.
        """
        self._add("clips", [rows.from_clip(clip, self._home) for clip in clips], known="(id, candidate_id)")

    def clips(self, candidate_ids: Sequence[str] | None = None) -> list[Clip]:
        """Clips of these candidates, or all, in the order they were added."""
        where, given = ("", []) if candidate_ids is None else ("WHERE candidate_id = ANY($1)", [list(candidate_ids)])
        return [rows.to_clip(row, self._home) for row in self._rows(f"SELECT * FROM clips {where} ORDER BY seq", given)]

    def clip(self, clip_id: str) -> Clip:
        """One clip; where two candidates have the same weights, the first that it was rendered for. Raises NotFound."""
        found = self._rows("SELECT * FROM clips WHERE id = $1 ORDER BY seq LIMIT 1", [clip_id])
        return rows.to_clip(_one(found, "clip", clip_id), self._home)

    def add_scores(self, scores: Iterable[Score]) -> None:
        """Keep screeners' answers; a later answer of a screener about a clip supersedes its earlier one."""
        self._add("scores", [rows.from_score(score) for score in scores])

    def scores(self, clip_ids: Sequence[str]) -> dict[str, list[Score]]:
        """The latest answer of every screener about these clips, by clip id; clips without scores are left out."""
        found: dict[str, list[Score]] = {}
        for row in self._rows(
            """SELECT * FROM scores WHERE clip_id = ANY($1)
               QUALIFY row_number() OVER (PARTITION BY clip_id, screener ORDER BY seq DESC) = 1 ORDER BY seq""",
            [list(clip_ids)],
        ):
            found.setdefault(row["clip_id"], []).append(rows.to_score(row))
        return found

    # --------------------------------------------------------------------------------------------------------- sessions
    def add_session(self, session: Session) -> None:
        """Keep a sitting. Raises Refused when its id is taken."""
        self._add("sessions", [rows.from_session(session)])

    def sessions(self) -> list[Session]:
        """All sittings, newest first."""
        return [rows.to_session(row) for row in self._rows(f"{_SESSIONS} ORDER BY seq DESC")]

    def session(self, session_id: str) -> Session:
        """One sitting. Raises NotFound."""
        return rows.to_session(_one(self._rows(f"{_SESSIONS} WHERE id = $1", [session_id]), "session", session_id))

    def close_session(self, session_id: str, *, at: float) -> None:
        """End a sitting: its unanswered trials are no longer open. The first closing counts. Raises NotFound."""
        self.session(session_id)
        self._add("session_closings", [{"session_id": session_id, "closed_at": at}], known="(session_id)")

    # ----------------------------------------------------------------------------------------------- trials and answers
    def add_trials(self, trials: Sequence[Trial]) -> None:
        """Keep a sitting's trials, all or none, before the first is shown. Raises Refused when an id is taken."""

        def write(transaction: Transaction) -> None:
            transaction.insert("trials", [rows.from_trial(trial) for trial in trials])
            transaction.insert("slots", [row for trial in trials for row in rows.from_slots(trial)])

        self._write(write)

    def trials(self, session_id: str) -> list[Trial]:
        """A sitting's trials in the order they are shown."""
        return self._trials("WHERE session_id = $1", [session_id])

    def trial(self, trial_id: str) -> Trial:
        """One trial. Raises NotFound."""
        found = self._trials("WHERE trials.id = $1", [trial_id])
        if not found:
            raise NotFound(f"There is no trial {trial_id!r}; reload the page.")
        return found[0]

    def next_open_trial(self, session_id: str) -> Trial | None:
        """The first trial of an open sitting without an answer: the same one until it is answered."""
        found = self._trials(f"WHERE session_id = $1 AND {_IS_OPEN}", [session_id])
        return found[0] if found else None

    def open_trials(self) -> list[Trial]:
        """Every trial that still waits for an answer, over all open sittings."""
        return self._trials(f"WHERE {_IS_OPEN}", [])

    def slot(self, token: str) -> tuple[Trial, Slot] | None:
        """The trial and the side that an opaque token stands for; None for a token that was never given out."""
        found = self._trials("WHERE trials.id = (SELECT trial_id FROM slots WHERE token = $1)", [token])
        return next(((trial, slot) for trial in found for slot in trial.slots if slot.token == token), None)

    def add_response(self, response: Response) -> None:
        """Keep an answer. The same answer again changes nothing, so that a page may send it twice.

        Raises Refused when the trial was answered differently or its sitting is closed, BadInput when it cannot be an
        answer to this trial, NotFound for a trial that does not exist.
        """
        trial = self.trial(response.trial_id)
        listening.check_answer(trial, response)
        row = rows.from_response(response)

        def write(transaction: Transaction) -> None:
            kept = transaction.fetch("SELECT * FROM responses WHERE trial_id = $1", [trial.id])
            if kept:
                if _answer(rows.to_response(kept[0])) != _answer(response):
                    raise Refused(
                        "This trial has another answer already, and answers are not changed; go on to the next one."
                    )
                return
            if transaction.fetch("SELECT 1 AS closed FROM session_closings WHERE session_id = $1", [trial.session_id]):
                raise Refused("This session is closed; open a new one to go on listening.")
            transaction.insert("responses", [row])

        self._write(write)

    def responses(self, session_id: str) -> list[Response]:
        """A sitting's answers in the order they were given."""
        found = self._rows("SELECT * FROM responses WHERE session_id = $1 ORDER BY seq", [session_id])
        return [rows.to_response(row) for row in found]

    # ------------------------------------------------------------------------------------------ verdicts and promotions
    def add_verdict(self, verdict: Verdict) -> None:
        """Keep a verdict; it supersedes the candidate's earlier ones under the same gate and edits none."""
        self._add("verdicts", [rows.from_verdict(verdict)])

    def verdicts(self) -> list[Verdict]:
        """The verdict in force of every candidate under every gate."""
        return [
            rows.to_verdict(row)
            for row in self._rows(
                """SELECT * FROM verdicts
                   QUALIFY row_number() OVER (PARTITION BY candidate_id, gate ORDER BY seq DESC) = 1 ORDER BY seq"""
            )
        ]

    def verdict_history(self, candidate_id: str | None = None) -> list[Verdict]:
        """Every verdict there ever was, of one candidate or all, oldest first."""
        where, given = ("", []) if candidate_id is None else ("WHERE candidate_id = $1", [candidate_id])
        return [rows.to_verdict(row) for row in self._rows(f"SELECT * FROM verdicts {where} ORDER BY seq", given)]

    def add_promotion(self, promotion: Promotion) -> None:
        """Keep a promotion: from now on its alias points at its candidate."""
        self._add("promotions", [rows.from_promotion(promotion)])

    def promotions(self) -> list[Promotion]:
        """What every alias points at now, by alias."""
        return [
            rows.to_promotion(row)
            for row in self._rows(
                """SELECT * FROM promotions
                   QUALIFY row_number() OVER (PARTITION BY alias ORDER BY seq DESC) = 1 ORDER BY alias"""
            )
        ]

    def promotion(self, alias: str) -> Promotion | None:
        """What an alias points at now."""
        found = self._rows("SELECT * FROM promotions WHERE alias = $1 ORDER BY seq DESC LIMIT 1", [alias])
        return rows.to_promotion(found[0]) if found else None

    def promotion_history(self) -> list[Promotion]:
        """Every promotion there ever was, oldest first."""
        return [rows.to_promotion(row) for row in self._rows("SELECT * FROM promotions ORDER BY seq")]

    # ---------------------------------------------------------------------------------------------------- acts and pins
    def add_act(self, kind: str, who: str, data: Mapping[str, Any], *, at: float) -> None:
        """Keep what a person did. `data` is anything JSON can say."""
        self._add("acts", [{"kind": kind, "who": who, "data": rows.dump(dict(data)), "done_at": at}])

    def acts(self, kind: str | None = None) -> list[Act]:
        """What was done, of one kind or all, oldest first."""
        where, given = ("", []) if kind is None else ("WHERE kind = $1", [kind])
        found = self._rows(f"SELECT * FROM acts {where} ORDER BY seq", given)
        return [
            Act(seq=row["seq"], kind=row["kind"], who=row["who"], data=json.loads(row["data"]), at=row["done_at"])
            for row in found
        ]

    def pin(self, checkpoint_id: str, *, by: str, at: float) -> None:
        """Keep a checkpoint whatever the verdicts say."""
        self._add("pins", [{"checkpoint_id": checkpoint_id, "pinned": True, "who": by, "done_at": at}])

    def unpin(self, checkpoint_id: str, *, by: str, at: float) -> None:
        """Let the verdicts decide again."""
        self._add("pins", [{"checkpoint_id": checkpoint_id, "pinned": False, "who": by, "done_at": at}])

    def pinned(self) -> frozenset[str]:
        """The checkpoints that are pinned now."""
        found = self._rows(
            "SELECT * FROM pins QUALIFY row_number() OVER (PARTITION BY checkpoint_id ORDER BY seq DESC) = 1"
        )
        return frozenset(row["checkpoint_id"] for row in found if row["pinned"])

    # ----------------------------------------------------------------------------------------------------------- inside
    def _trials(self, where: str, given: Sequence[object]) -> list[Trial]:
        found = self._rows(
            f"""SELECT trials.*, token, label, clip_id FROM trials JOIN slots ON trials.id = slots.trial_id {where}
                ORDER BY trials.session_id, trials.position, slots.place""",
            given,
        )
        sides: dict[str, list[Row]] = {}
        for row in found:
            sides.setdefault(row["id"], []).append(row)
        return [rows.to_trial(own[0], [rows.to_slot(row) for row in own]) for own in sides.values()]

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


_SESSIONS = "SELECT sessions.*, closed_at FROM sessions LEFT JOIN session_closings ON id = session_id"
_IS_OPEN = """NOT EXISTS (FROM responses WHERE responses.trial_id = trials.id)
    AND NOT EXISTS (FROM session_closings WHERE session_closings.session_id = trials.session_id)"""


def _one(found: Sequence[Row], what: str, name: str) -> Row:
    if not found:
        raise NotFound(f"There is no {what} {name!r}; list them to see what there is.")
    return found[0]


def _answer(response: Response) -> tuple[object, ...]:
    """What makes two answers the same: not when they were sent, nor how often a clip was played."""
    return response.choice, response.reasons, response.note
