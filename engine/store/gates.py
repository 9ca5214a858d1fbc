"""The gates that were ever used, as they were, and what reviewers said to screeners' flags.

Knows SQL and a gate's hash. What a gate decides is for `engine.gate` to say.
"""

from __future__ import annotations

from engine.store import rows
from engine.store.opened import OpenDatabase
from engine.types import FlagAnswer, Gate


class GateTables(OpenDatabase):
    """Rules by their hash, and answers to flags."""

    def keep_gate(self, gate: Gate, *, at: float) -> str:
        """Keep a gate as it is; returns its hash. One that is known stays as it was."""
        row = rows.from_gate(gate, at)
        self._add("gates", [row], known="(sha256)")
        return str(row["sha256"])

    def gates(self) -> dict[str, Gate]:
        """Every gate that was ever kept, by hash, oldest first."""
        return {row["sha256"]: rows.to_gate(row) for row in self._rows("SELECT * FROM gates ORDER BY seq")}

    def add_flag_answer(self, answer: FlagAnswer) -> None:
        """Keep what a reviewer said to a flag. Said again, the latest counts and the earlier ones stay."""
        self._add("flag_answers", [rows.from_flag_answer(answer)])

    def flag_answers(self, session_id: str | None = None) -> list[FlagAnswer]:
        """What reviewers said to flags, of one sitting or all, oldest first."""
        where, given = ("", []) if session_id is None else ("WHERE session_id = $1", [session_id])
        found = self._rows(f"SELECT * FROM flag_answers {where} ORDER BY seq", given)
        return [rows.to_flag_answer(row) for row in found]
