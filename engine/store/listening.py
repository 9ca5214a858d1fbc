"""The listening half of the database: tests, sittings, trials, answers, invitations.

Answers are only ever added. One that is withdrawn stays with the time at which it was; given anew it is another row,
the next attempt at its trial. What is in force of a trial is the one that was not withdrawn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from engine import listening
from engine.store import listening_rows
from engine.store.database import Transaction
from engine.store.gathering import Gathered
from engine.store.opened import OpenDatabase, one
from engine.store.rows import Row
from engine.types import Invitation, ListeningTest, NotFound, Refused, Response, Session, Slot, Trial

CLOSED = "This session is closed; open a new one to go on listening."

_SESSIONS = "SELECT sessions.*, closed_at FROM sessions LEFT JOIN session_closings ON id = session_id"
_TESTS = "SELECT listening_tests.*, closed_at FROM listening_tests LEFT JOIN test_closings ON id = test_id"
_INVITATIONS = """SELECT invitations.*, revoked_at FROM invitations
    LEFT JOIN invitation_revocations ON id = invitation_id"""
_RESPONSES = """SELECT responses.*, withdrawn_at FROM responses LEFT JOIN withdrawals
    ON withdrawals.trial_id = responses.trial_id AND withdrawals.attempt = responses.attempt"""
_IN_FORCE = """SELECT * FROM responses ANTI JOIN withdrawals
    ON withdrawals.trial_id = responses.trial_id AND withdrawals.attempt = responses.attempt"""
_IS_OPEN = f"""NOT EXISTS (FROM ({_IN_FORCE}) answered WHERE answered.trial_id = trials.id)
    AND NOT EXISTS (FROM session_closings WHERE session_closings.session_id = trials.session_id)"""


class ListeningTables(OpenDatabase):
    """Tests, sittings, trials and answers."""

    def __init__(self, path: Path | str, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(path, clock=clock)
        self._answers = Gathered(self._add_responses)

    # ----------------------------------------------------------------------------------------------------------- tests
    def add_test(self, test: ListeningTest) -> None:
        """Keep a test's plan. Raises Refused when its id is taken."""
        self._add("listening_tests", [listening_rows.from_test(test)])

    def tests(self) -> list[ListeningTest]:
        """All tests, newest first."""
        return [listening_rows.to_test(row) for row in self._rows(f"{_TESTS} ORDER BY seq DESC")]

    def test(self, test_id: str) -> ListeningTest:
        """One test. Raises NotFound."""
        return listening_rows.to_test(one(self._rows(f"{_TESTS} WHERE id = $1", [test_id]), "listening test", test_id))

    def close_test(self, test_id: str, *, by: str, at: float) -> None:
        """End a test for all; the first closing counts. Raises NotFound."""
        self.test(test_id)
        self._add("test_closings", [{"test_id": test_id, "who": by, "closed_at": at}], known="(test_id)")

    # -------------------------------------------------------------------------------------------------------- sessions
    def add_session(self, session: Session) -> None:
        """Keep a sitting. Raises Refused when its id is taken."""
        self._add("sessions", [listening_rows.from_session(session)])

    def sessions(self, test_id: str | None = None, *, reviewer: str | None = None) -> list[Session]:
        """All sittings, or those of one test, or of one reviewer, newest first."""
        asked = [
            (column, value) for column, value in (("test_id", test_id), ("reviewer", reviewer)) if value is not None
        ]
        where = " AND ".join(f"{column} = ${place}" for place, (column, _) in enumerate(asked, start=1))
        where, given = f"WHERE {where}" if asked else "", [value for _, value in asked]
        return [listening_rows.to_session(row) for row in self._rows(f"{_SESSIONS} {where} ORDER BY seq DESC", given)]

    def session(self, session_id: str) -> Session:
        """One sitting. Raises NotFound."""
        found = self._rows(f"{_SESSIONS} WHERE id = $1", [session_id])
        return listening_rows.to_session(one(found, "session", session_id))

    def close_session(self, session_id: str, *, at: float) -> None:
        """End a sitting: its unanswered trials are no longer open. The first closing counts. Raises NotFound."""
        self.session(session_id)
        self._add("session_closings", [{"session_id": session_id, "closed_at": at}], known="(session_id)")

    # ---------------------------------------------------------------------------------------------------------- trials
    def add_trials(self, trials: Sequence[Trial]) -> None:
        """Keep trials of open sittings, all or none, before any is shown; more may be added while a sitting lasts.

        Raises Refused when an id or a place in a sitting is taken, or a sitting is closed.
        """

        def write(transaction: Transaction) -> None:
            ids = list({trial.session_id for trial in trials})
            if _closed(transaction, ids):
                raise Refused(CLOSED)
            transaction.insert("trials", [listening_rows.from_trial(trial) for trial in trials])
            transaction.insert("slots", [row for trial in trials for row in listening_rows.from_slots(trial)])

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

    def open_trials(self) -> list[Trial]:
        """Every trial that still waits for an answer, over all open sittings."""
        return self._trials(f"WHERE {_IS_OPEN}", [])

    def pairs_answered_by(self, reviewer: str) -> list[Trial]:
        """The trials of two sides, or of two and X, that a reviewer has answered; dry runs are no part of it."""
        return self._trials(
            """WHERE session_id IN (FROM sessions SELECT id WHERE reviewer = $1 AND NOT dry_run)
               AND kind IN ('preference', 'abx', 'cmos')
               AND EXISTS (FROM responses WHERE responses.trial_id = trials.id)""",
            [reviewer],
        )

    def slot(self, token: str) -> tuple[Trial, Slot] | None:
        """The trial and the side that an opaque token stands for; None for a token that was never given out."""
        found = self._trials("WHERE trials.id = (SELECT trial_id FROM slots WHERE token = $1)", [token])
        return next(((trial, slot) for trial in found for slot in trial.slots if slot.token == token), None)

    # --------------------------------------------------------------------------------------------------------- answers
    def add_response(self, response: Response, trial: Trial | None = None) -> None:
        """Keep an answer. The same answer again changes nothing, so that a page may send it twice; one that was
        withdrawn may be given anew. Answers that come at the same time are written together.

        `trial` saves looking it up. Raises Refused when the trial has a different answer in force or its sitting is
        closed, BadInput when it cannot be an answer to this trial, NotFound for a trial that does not exist.
        """
        trial = trial or self.trial(response.trial_id)
        listening.check_answer(trial, response)
        self._answers.do(response)

    def _add_responses(self, responses: Sequence[Response]) -> list[Exception | None]:
        """Keep those that can be kept, in one transaction; says of each what stands against it."""

        def write(transaction: Transaction) -> list[Exception | None]:
            kept = _answers(transaction, [response.trial_id for response in responses])
            closed = _closed(transaction, [response.session_id for response in responses])
            rows, outcomes = [], list[Exception | None]()
            for response in responses:
                before = kept.setdefault(response.trial_id, [])
                outcomes.append(_stands_against(response, before, is_closed=response.session_id in closed))
                if outcomes[-1] is None and not (before and before[-1].withdrawn_at is None):
                    before.append(replace(response, attempt=len(before) + 1))
                    rows.append(listening_rows.from_response(response, attempt=len(before)))
            transaction.insert("responses", rows)
            return outcomes

        return self._write(write)

    def withdraw(self, trial_id: str, *, at: float) -> None:
        """Take back the answer in force; the log keeps it. Nothing is done when it was taken back already.

        Raises Refused when there is no answer, or its sitting is closed; NotFound for a trial that does not exist.
        """
        trial = self.trial(trial_id)

        def write(transaction: Transaction) -> None:
            kept = _answers(transaction, [trial.id]).get(trial.id, [])
            if not kept:
                raise Refused("This trial has no answer yet; there is nothing to take back.")
            if kept[-1].withdrawn_at is not None:
                return
            _check_open(transaction, trial.session_id)
            row = {"trial_id": trial.id, "attempt": kept[-1].attempt, "session_id": trial.session_id}
            transaction.insert("withdrawals", [{**row, "withdrawn_at": at}])

        self._write(write)

    def responses(self, session_id: str) -> list[Response]:
        """A sitting's answers in force, in the order they were given."""
        return [response for response in self.response_history(session_id) if response.withdrawn_at is None]

    def response_history(self, session_id: str) -> list[Response]:
        """Every answer that a sitting ever had, withdrawn ones with the time, in the order they were given."""
        found = self._rows(f"{_RESPONSES} WHERE responses.session_id = $1 ORDER BY responses.seq", [session_id])
        return [listening_rows.to_response(row) for row in found]

    # ----------------------------------------------------------------------------------------------------- invitations
    def add_invitation(self, invitation: Invitation) -> None:
        """Keep an invitation. Raises Refused when its id or its token is taken."""
        self._add("invitations", [listening_rows.from_invitation(invitation)])

    def invitations(self) -> list[Invitation]:
        """All invitations, newest first."""
        return [listening_rows.to_invitation(row) for row in self._rows(f"{_INVITATIONS} ORDER BY seq DESC")]

    def revoke_invitation(self, invitation_id: str, *, by: str, at: float) -> None:
        """From now on its link opens nothing; the first revocation counts. Raises NotFound."""
        found = self._rows("SELECT 1 AS there FROM invitations WHERE id = $1", [invitation_id])
        one(found, "invitation", invitation_id)
        row = {"invitation_id": invitation_id, "who": by, "revoked_at": at}
        self._add("invitation_revocations", [row], known="(invitation_id)")

    # ---------------------------------------------------------------------------------------------------------- inside
    def _trials(self, where: str, given: Sequence[object]) -> list[Trial]:
        found = self._rows(
            f"""SELECT trials.*, token, label, clip_id, treatment FROM trials JOIN slots ON trials.id = slots.trial_id
                {where} ORDER BY trials.session_id, trials.position, slots.place""",
            given,
        )
        sides: dict[str, list[Row]] = {}
        for row in found:
            sides.setdefault(row["id"], []).append(row)
        return [listening_rows.to_trial(own[0], [listening_rows.to_slot(row) for row in own]) for own in sides.values()]


def _answers(transaction: Transaction, trial_ids: Sequence[str]) -> dict[str, list[Response]]:
    found: dict[str, list[Response]] = {}
    for row in transaction.fetch(
        f"{_RESPONSES} WHERE responses.trial_id = ANY($1) ORDER BY responses.attempt", [list(trial_ids)]
    ):
        found.setdefault(row["trial_id"], []).append(listening_rows.to_response(row))
    return found


def _closed(transaction: Transaction, session_ids: Sequence[str]) -> set[str]:
    asked = "SELECT session_id FROM session_closings WHERE session_id = ANY($1)"
    return {row["session_id"] for row in transaction.fetch(asked, [list(session_ids)])}


def _stands_against(response: Response, before: Sequence[Response], *, is_closed: bool) -> Refused | None:
    if before and before[-1].withdrawn_at is None:
        if listening.is_same_answer(before[-1], response):
            return None
        return Refused("This trial has another answer already, and answers are not changed; go on to the next one.")
    return Refused(CLOSED) if is_closed else None


def _check_open(transaction: Transaction, session_id: str) -> None:
    if _closed(transaction, [session_id]):
        raise Refused(CLOSED)
