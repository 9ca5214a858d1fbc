"""`evaluations.duckdb`: everything that people judged, and what they judged it on. All SQL is here.

Knows rows in, records out. Knows nothing of audio, models or pages, and decides nothing. Judgements are append-only:
no statement here updates or deletes a row; of several rows about one thing the latest is in force. DuckDB lets one
process hold the file, so only the app opens it; a trainer writes files. A `Store` may be used from many threads: every
operation takes a cursor of its own, and what is written is on disk when the method returns. All but the screeners'
scores, which can be had again, is also in a journal of plain lines; opening makes the two agree, in either direction.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.store import rows
from engine.store.exploration import ExplorationTables
from engine.store.gates import GateTables
from engine.store.listening import ListeningTables
from engine.store.opened import JOURNAL, MEMORY, one
from engine.types import Clip, Promotion, Score, Verdict

__all__ = ["JOURNAL", "MEMORY", "Act", "Store"]


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something a named person did that is neither an answer nor a verdict: a trash, an undo, a purge, an export."""

    seq: int
    kind: str
    who: str
    data: Mapping[str, Any]
    at: float


class Store(ListeningTables, ExplorationTables, GateTables):
    """An open database. Raises Busy when another process holds it, BadInput when it is no database or of a newer
    Earmark.
    """

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
        return rows.to_clip(one(found, "clip", clip_id), self._home)

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
