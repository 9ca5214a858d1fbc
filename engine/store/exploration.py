"""An adaptive test as a log: what was asked and answered in the order of arrival, over all of its sittings.

Knows SQL and the order of arrival. What to ask next is for `engine.adaptive` to say.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.adaptive.log import Answered, Asked, Ended, Event
from engine.store.opened import OpenDatabase
from engine.store.rows import Row
from engine.types import Choice

_OF_TEST = "sessions.test_id = $1 AND (NOT sessions.dry_run OR sessions.id = $2)"
_LOG = f"""
    SELECT trials.seq, 'asked' AS what, trials.id AS trial_id, trials.session_id, trials.line_id,
        one.clip_id AS first, other.clip_id AS second, NULL AS choice
    FROM trials JOIN sessions ON sessions.id = trials.session_id
        JOIN slots one ON one.trial_id = trials.id AND one.place = 0
        JOIN slots other ON other.trial_id = trials.id AND other.place = 1
    WHERE trials.role = 'main' AND {_OF_TEST}
    UNION ALL
    SELECT responses.seq, 'answered', responses.trial_id, responses.session_id, NULL, NULL, NULL, responses.choice
    FROM responses JOIN sessions ON sessions.id = responses.session_id
        JOIN trials ON trials.id = responses.trial_id
    WHERE trials.role = 'main' AND {_OF_TEST}
    UNION ALL
    SELECT withdrawals.seq, 'withdrawn', withdrawals.trial_id, withdrawals.session_id, NULL, NULL, NULL, NULL
    FROM withdrawals JOIN sessions ON sessions.id = withdrawals.session_id
        JOIN trials ON trials.id = withdrawals.trial_id
    WHERE trials.role = 'main' AND {_OF_TEST}
    UNION ALL
    SELECT session_closings.seq, 'ended', NULL, session_closings.session_id, NULL, NULL, NULL, NULL
    FROM session_closings JOIN sessions ON sessions.id = session_closings.session_id WHERE {_OF_TEST}
    ORDER BY 1"""


class ExplorationTables(OpenDatabase):
    """Reads what an adaptive choice depends on, in one question."""

    def exploration_log(self, test_id: str, names: Mapping[str, str], *, own: str = "") -> list[Event]:
        """Main trials and their answers, oldest first. `names` gives each clip id its candidate's. Dry runs are left
        out, but for the sitting `own`.
        """
        return [_event(row, names) for row in self._rows(_LOG, [test_id, own])]


def _event(row: Row, names: Mapping[str, str]) -> Event:
    match row["what"]:
        case "asked":
            return Asked(
                trial=row["trial_id"],
                sitting=row["session_id"],
                first=names[row["first"]],
                second=names[row["second"]],
                line=row["line_id"],
            )
        case "ended":
            return Ended(row["session_id"])
    return Answered(row["trial_id"], Choice(row["choice"]) if row["choice"] else None)
