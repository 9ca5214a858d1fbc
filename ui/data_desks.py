"""Drafts put together for the page, and the jobs that work on them.

Knows when a draft has to be put together anew. Holds one draft at a time: it may have 10,000 rows and more.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from engine.types import NotFound
from ui import data_rows
from ui.data_rows import Desk, DeskRow

if TYPE_CHECKING:
    from engine.studio import Studio


class Desks:
    """Drafts put together, and the jobs that work on them. A draft is put together anew when it has changed."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._held: dict[str, tuple[object, object, Desk]] = {}
        self._gathering = threading.Lock()  # a page asks for several pieces at once: one of them reads the draft
        self.jobs: dict[str, str] = {}  # draft -> its latest job

    def get(self, draft_id: str) -> Desk:
        """A draft as it is now. Raises NotFound."""
        with self._gathering:
            report, decisions = self._studio.report(draft_id), self._studio.decisions(draft_id)
            held = self._held.get(draft_id)
            if held is not None and held[0] is report and held[1] == decisions:
                return held[2]
            settings = self._studio.default_settings(report.backend)
            planned = self._studio.planned(draft_id, settings)
            out = {r.utterance.id for r in planned.rows if not r.included}
            made = data_rows.desk(report, decisions, out, audited=self._studio.draft(draft_id).audited)
            self._held = {draft_id: (report, decisions, made)}  # one at a time: a draft may be large
            return made

    def row(self, draft_id: str, row_id: str) -> DeskRow:
        """One row of it. Raises NotFound."""
        found = self.get(draft_id).by_id.get(row_id)
        if found is None:
            raise NotFound(f"There is no row {row_id!r} in this draft; reload the page.")
        return found

    def running(self, draft_id: str) -> str:
        """The job that works on a draft now; "" when there is none."""
        job_id = self.jobs.get(draft_id, "")
        return job_id if job_id and self._studio.job(job_id).ended_at is None else ""
