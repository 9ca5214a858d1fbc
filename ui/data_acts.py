"""What somebody does on the desk, over HTTP: decide about rows, run jobs, take a dataset's rows away.

Knows HTTP and which call of the studio answers.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.background import BackgroundTask

from engine.types import Action, BadInput, NotFound
from ui import data_rows, view_data, view_data_home, view_data_rows
from ui import view_data_words as words
from ui.data_asked import Acts, Preparation, Text, Texts
from ui.data_desks import Desks
from ui.data_rows import DeskRow
from ui.data_uploads import Uploads
from ui.no_store import NO_STORE

if TYPE_CHECKING:
    from engine.studio import Studio

REPAIR, TAKE_BACK = "repair", "take_back"


def add(app: FastAPI, studio: Studio, desks: Desks, uploads: Uploads) -> None:
    """Add the routes of everything that changes something but what is open."""
    _add_deciding(app, studio, desks)
    _add_jobs(app, studio, desks, uploads)
    _add_datasets(app, studio)


# ---- deciding
def _add_deciding(app: FastAPI, studio: Studio, desks: Desks) -> None:
    @app.post("/desk/drafts/{draft_id}/decide")
    def decide(draft_id: str, asked: Acts) -> Response:
        """Repair, drop, keep or take back: some rows, or all that the filters leave."""
        rows = _chosen(desks, draft_id, asked)
        ids = [r.id for r in rows]
        if asked.act == TAKE_BACK:
            studio.take_back(draft_id, ids)
            told = f"{words.counted(len(ids), 'row')}: decisions taken back."
        elif asked.act == REPAIR:
            told = _repair(studio, draft_id, rows, asked)
        else:
            action = Action(asked.act)
            studio.decide(draft_id, ids, action, by=asked.by.strip())
            told = f"{words.counted(len(ids), 'row')} {words.DONE_WORDS[action]}."
        return JSONResponse({"told": told, "rows": len(ids)}, headers=NO_STORE)

    @app.post("/desk/drafts/{draft_id}/text")
    def text(draft_id: str, asked: Text) -> Response:
        """The text of one row, as somebody typed it."""
        studio.decide(draft_id, [asked.row], Action.SET_TEXT, text=asked.text.strip(), by=asked.by.strip())
        return JSONResponse({"told": f"{asked.row}: text saved."}, headers=NO_STORE)

    @app.post("/desk/drafts/{draft_id}/texts")
    def texts(draft_id: str, asked: Texts) -> Response:
        """Many texts at once, for consecutive rows of the source; an empty line leaves its row as it is."""
        desk, first = desks.get(draft_id), desks.row(draft_id, asked.row)
        rows = [r for r in desk.rows[first.index :] if r.utterance is not None]
        lines = asked.lines[:-1] if asked.lines and not asked.lines[-1].strip() else asked.lines
        if len(lines) > len(rows):
            raise BadInput(
                f"{words.counted(len(lines), 'line')} for {words.counted(len(rows), 'row')} from {first.id} on; "
                "paste no more lines than there are rows."
            )
        filled = [(r, line.strip()) for r, line in zip(rows, lines, strict=False) if line.strip()]
        studio.set_texts(draft_id, {row.id: line for row, line in filled}, by=asked.by.strip())
        return JSONResponse({"told": f"{words.counted(len(filled), 'text')} filled in."}, headers=NO_STORE)

    @app.post("/desk/drafts/{draft_id}/transcribe")
    def transcribe(draft_id: str, asked: Acts) -> Response:
        """Have texts recognised; a job."""
        rows = [r.id for r in _chosen(desks, draft_id, asked)]
        return _watch(desks, draft_id, studio.start_transcribing(draft_id, rows))


def _chosen(desks: Desks, draft_id: str, asked: Acts) -> list[DeskRow]:
    """The rows that an act is about: those that are named, or all that the filters leave. Lost rows are left out."""
    if asked.filters is not None:
        rows = list(data_rows.find(desks.get(draft_id), asked.filters.query()).rows)
    else:
        rows = [desks.row(draft_id, row) for row in asked.rows]
    found = [r for r in rows if r.utterance is not None]
    if not found:
        raise BadInput("Select some rows first; rows that could not be read have nothing to decide.")
    return found


def _repair(studio: Studio, draft_id: str, rows: list[DeskRow], asked: Acts) -> str:
    """Decide what the findings propose; of one check alone when the filter or the button names one."""
    check = asked.check or (asked.filters.check if asked.filters else "")
    done: Counter[Action] = Counter()
    repaired: set[str] = set()
    for (action, text), ids in data_rows.proposals(rows, check).items():
        studio.decide(draft_id, ids, action, text=text, by=asked.by.strip())
        done[action] += len(ids)
        repaired.update(ids)
    return view_data_rows.repaired(done, len(rows) - len(repaired))


# ---- jobs, preparing, exporting
def _watch(desks: Desks, draft_id: str, job_id: str) -> Response:
    desks.jobs[draft_id] = job_id
    return JSONResponse({"job": job_id}, headers=NO_STORE)


def _add_jobs(app: FastAPI, studio: Studio, desks: Desks, uploads: Uploads) -> None:
    @app.post("/desk/drafts/{draft_id}/audit")
    def audit(draft_id: str) -> Response:
        """Look at every row; a job."""
        return _watch(desks, draft_id, desks.running(draft_id) or studio.start_audit(draft_id))

    @app.post("/desk/drafts/{draft_id}/prepare")
    def prepare(draft_id: str, asked: Preparation) -> Response:
        """Write the dataset; a job."""
        backend = studio.draft(draft_id).backend
        settings = asked.settings(backend) if asked.given else studio.default_settings(backend)
        return _watch(desks, draft_id, studio.start_prepare(draft_id, settings, name=asked.name.strip()))

    @app.get("/desk/jobs/{job_id}")
    def job(job_id: str) -> Response:
        """How far a job is, and what it made."""
        found = studio.job(job_id)
        result = studio.job_result(job_id) if found.state == "done" else ""
        html = view_data.job(found, time.time())
        if result and found.kind == "prepare":
            html = view_data_home.dataset_ready(studio.dataset(result), tuple(words.EXPORT_NAMES))
        if found.ended_at is not None:
            uploads.job_over(job_id)
        told: dict[str, Any] = {"kind": found.kind, "state": found.state, "over": found.ended_at is not None}
        return JSONResponse({**told, "html": html, "result": result}, headers=NO_STORE)

    @app.post("/desk/jobs/{job_id}/cancel")
    def cancel(job_id: str) -> Response:
        """Ask a job to end at its next step."""
        studio.cancel(job_id)
        return JSONResponse({"asked": True}, headers=NO_STORE)


def _add_datasets(app: FastAPI, studio: Studio) -> None:
    @app.get("/desk/datasets/{dataset_id}/export")
    def export(dataset_id: str, format: str) -> Response:
        """The rows of a dataset as another trainer reads them: one file, or several in a zip."""
        if format not in words.EXPORT_NAMES:
            raise NotFound(f"There is no format {format!r}; known are: {', '.join(words.EXPORT_NAMES)}.")
        folder = Path(tempfile.mkdtemp(prefix=".export-", dir=studio.workspace.root))
        name = f"{dataset_id}-{format}"
        inside = folder / name
        inside.mkdir()
        try:
            studio.export_rows(
                dataset_id, format, inside / (name if format in words.EXPORT_FOLDERS else f"{name}.jsonl")
            )
            files = [p for p in inside.rglob("*") if p.is_file()]
            file = files[0] if len(files) == 1 else Path(shutil.make_archive(str(folder / name), "zip", inside))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        done = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
        kind = "application/octet-stream"
        return FileResponse(file, media_type=kind, filename=file.name, headers=NO_STORE, background=done)
