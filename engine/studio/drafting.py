"""Use cases about what is decided of a draft: audit, decisions row by row, texts written down by Whisper.

What is on the desk survives a restart: everything lies in the draft's folder. Jobs tell their progress row by row.
Where a draft comes from is `draft_sources`' question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine import audio, audit, drafts, needs
from engine.jobs import Report
from engine.studio.draft_sources import DraftSources
from engine.studio.job_results import going_on
from engine.types import Action, AuditReport, BadInput, Decision, Manifest, NotFound, Refused, Utterance
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine.recogniser import Recogniser
    from engine.whisper import Whisper

TRANSCRIBER = "Whisper"
NO_WHISPER = (
    "No Whisper folder is configured: start Earmark with --whisper FOLDER (a model in safetensors), or type the texts."
)


class _Held(NamedTuple):
    """A draft as it was read last, without and with its decided texts; `state` tells whether the files changed."""

    state: tuple[int, ...]
    found: AuditReport
    report: AuditReport


class Drafting(DraftSources):
    """What the Data page does with a dataset until it is prepared."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self.whisper_folder: Path | None = None
        self._whisper: Whisper | None = None
        self._reports: dict[str, _Held] = {}

    def discard_draft(self, draft_id: str) -> None:
        """Remove a draft with its uploads and slices; the source stays."""
        drafts.discard(self._draft_folder(draft_id))
        self._reports.pop(draft_id, None)

    def start_audit(self, draft_id: str) -> str:
        """Audit a draft; the job's result is the draft's id. Decisions stay, and so does an earlier audit till then."""
        folder = self._draft_folder(draft_id)
        target = needs.of(self.draft(draft_id).backend)

        def work(report: Report) -> str:
            rows = drafts.with_texts(drafts.report(folder), drafts.decisions(folder)).manifest
            found = audit.audit(
                rows, target, recogniser=self._recogniser(), on_progress=report, cancelled=report.cancelled
            )
            drafts.save_audit(folder, found)
            return draft_id

        return self._start("audit", work)

    def report(self, draft_id: str) -> AuditReport:
        """The rows with the decisions' texts applied, and what the audit found; no findings before it."""
        return self._read_draft(draft_id).report

    def _as_audited(self, draft_id: str) -> AuditReport:
        """The rows as the audit saw them."""
        return self._read_draft(draft_id).found

    def _read_draft(self, draft_id: str) -> _Held:
        folder = self._draft_folder(draft_id)
        state = tuple(_stamp(folder / name) for name in ("draft.json", "audit.json", "decisions.jsonl"))
        held = self._reports.get(draft_id)
        if held is None or held.state != state:
            # Reading 10,000 rows takes a second and a decision a moment: what was read is kept as well.
            found = held.found if held and held.state[:-1] == state[:-1] else drafts.report(folder)
            held = _Held(state, found, drafts.with_texts(found, drafts.decisions(folder)))
            self._reports[draft_id] = held
        return held

    # ------------------------------------------------------------------------------------------------------- decisions
    def decide(self, draft_id: str, rows: Sequence[str], action: Action, *, text: str = "", by: str = "") -> None:
        """Decide something of rows. Raises NotFound for an unknown row, Refused for KEEP without a name."""
        folder = self._draft_folder(draft_id)
        if action is Action.NONE:
            raise BadInput("There is nothing to decide with the action 'none'; choose what is to be done.")
        if action is Action.KEEP and not by.strip():
            raise Refused("Keeping a row in spite of a finding needs the name of the person who decides it.")
        self._must_have(draft_id, rows)
        now = self._clock()
        drafts.decide(folder, [Decision(row=row, action=action, text=text, by=by.strip(), at=now) for row in rows])

    def set_texts(self, draft_id: str, texts: Mapping[str, str], *, by: str = "") -> None:
        """Decide the texts of many rows at once, as somebody pastes them. Raises NotFound for an unknown row."""
        self._must_have(draft_id, list(texts))
        made = [
            Decision(row=row, action=Action.SET_TEXT, text=text, by=by.strip(), at=self._clock())
            for row, text in texts.items()
        ]
        drafts.decide(self._draft_folder(draft_id), made)

    def take_back(self, draft_id: str, rows: Sequence[str]) -> None:
        """Forget the decisions of rows."""
        self._must_have(draft_id, rows)
        drafts.take_back(self._draft_folder(draft_id), rows, self._clock())

    def decisions(self, draft_id: str) -> dict[str, tuple[Decision, ...]]:
        """The decisions in force, by row."""
        found = drafts.decisions(self._draft_folder(draft_id))
        return {row: tuple(made.values()) for row, made in found.items()}

    def row_samples_path(self, draft_id: str, row: str) -> Path:
        """The audio file of one of the draft's rows. Raises NotFound for any other, and when the file is gone."""
        [found] = self._rows(draft_id, [row])
        if not found.audio_path.is_file():
            raise NotFound(f"{found.audio_path} is not there; put the file back, or drop row {row}.")
        return found.audio_path

    def start_transcribing(self, draft_id: str, rows: Sequence[str]) -> str:
        """Write down what rows say, each as a decided text. Raises Refused when no Whisper folder is configured."""
        if self.whisper_folder is None:
            raise Refused(NO_WHISPER)
        wanted = self._rows(draft_id, rows)

        def work(report: Report) -> str:
            for u in self._written_down(wanted, going_on(report)):
                self.decide(draft_id, [u.id], Action.SET_TEXT, text=u.text, by=TRANSCRIBER)
            report(len(wanted), len(wanted), "Done")
            return draft_id

        return self._start("transcribe", work)

    # ----------------------------------------------------------------------------------------------------------- inside
    def _rows(self, draft_id: str, rows: Sequence[str]) -> list[Utterance]:
        by_id = {u.id: u for u in self.report(draft_id).manifest.utterances}
        unknown = [row for row in rows if row not in by_id]
        if unknown:
            raise NotFound(f"There is no row {unknown[0]!r} in this draft.")
        return [by_id[row] for row in rows]

    def _must_have(self, draft_id: str, rows: Sequence[str]) -> None:
        self._rows(draft_id, rows)

    def _recogniser(self) -> Recogniser | None:
        """Whisper where a folder is configured, else what comes with Earmark; None where that is not installed."""
        from engine.audit import transcripts

        return self._loaded_whisper() if self.whisper_folder is not None else transcripts.builtin()

    def _loaded_whisper(self) -> Whisper:
        from engine import whisper

        if self.whisper_folder is None:
            raise Refused(NO_WHISPER)
        if self._whisper is None:
            self._whisper = whisper.load(self.whisper_folder)
        return self._whisper

    def _written_down(
        self, rows: Sequence[Utterance], on_progress: Callable[[int, int, str], None] | None = None
    ) -> Iterator[Utterance]:
        """The rows with what Whisper hears in them; as they are where none is configured."""
        if self.whisper_folder is None:
            yield from rows
            return
        model = self._loaded_whisper()
        for done, u in enumerate(rows):
            if on_progress is not None:
                on_progress(done, len(rows), f"Writing down {u.id}")
            samples, rate = audio.read(u.audio_path)
            yield replace(u, text=model.transcribe(samples, rate, u.language))

    def _audited(
        self, rows: Manifest, backend: str, listen: bool, on_progress: Callable[[int, int, str], None] | None
    ) -> AuditReport:
        recogniser = self._recogniser() if listen else None
        return audit.audit(rows, needs.of(backend), recogniser=recogniser, on_progress=on_progress)


def _stamp(path: Path) -> int:
    """What changes when a file does: its time and its size."""
    try:
        told = path.stat()
    except OSError:
        return 0
    return hash((told.st_mtime_ns, told.st_size, told.st_ino))
