"""The data desk over HTTP: pieces of the page as HTML, plots as numbers, a row's sound, what somebody decided.

Knows HTTP and which call of the studio answers; `assets/ui/desk.js` puts the pieces into the page. Who may ask is
decided in `access`, before anything arrives here.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Request
from fastapi import Query as Asked
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.background import BackgroundTask

from engine.types import Action, BadInput, NotFound
from ui import data_points, data_rows, data_sound, view_data, view_data_home, view_data_row, view_data_rows
from ui import view_data_words as words
from ui.data_asked import Acts, Filters, OpenPath, OpenUpload, Preparation, Slicing, Text, Texts
from ui.data_rows import Desk, DeskRow
from ui.data_uploads import Uploads

if TYPE_CHECKING:
    from engine.studio import Studio

NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
SOON_STALE = {"Cache-Control": "private, max-age=600", "X-Content-Type-Options": "nosniff"}
# What a browser is told a row's file is: sound or nothing, whatever its name says.
SOUND_TYPES = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
}
FAULTY_DEMO = "manifest_with_faults.jsonl"
REPAIR, TAKE_BACK = "repair", "take_back"


def add(app: FastAPI, studio: Studio) -> None:
    """Add every route of the desk to the app."""
    desks, uploads = Desks(studio), Uploads(studio.workspace.root / ".uploads")
    _add_home(app, studio)
    _add_uploads(app, studio, uploads)
    _add_draft(app, studio, desks)
    _add_row(app, studio, desks)
    _add_acts(app, studio, desks)
    _add_jobs(app, studio, desks, uploads)
    _add_datasets(app, studio)


class Desks:
    """Drafts put together, and the jobs that work on them. A draft is put together anew when it has changed."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._held: dict[str, tuple[object, object, Desk]] = {}
        self.jobs: dict[str, str] = {}  # draft -> its latest job

    def get(self, draft_id: str) -> Desk:
        report, decisions = self._studio.report(draft_id), self._studio.decisions(draft_id)
        held = self._held.get(draft_id)
        if held is not None and held[0] is report and held[1] == decisions:
            return held[2]
        settings = self._studio.default_settings(report.backend)
        planned = self._studio.planned(draft_id, settings)
        made = data_rows.desk(report, decisions, {r.utterance.id for r in planned.rows if not r.included})
        self._held = {draft_id: (report, decisions, made)}  # one at a time: a draft may be large
        return made

    def row(self, draft_id: str, row_id: str) -> DeskRow:
        found = self.get(draft_id).by_id.get(row_id)
        if found is None:
            raise NotFound(f"There is no row {row_id!r} in this draft; reload the page.")
        return found

    def running(self, draft_id: str) -> str:
        """The job that works on a draft now; "" when there is none."""
        job_id = self.jobs.get(draft_id, "")
        return job_id if job_id and self._studio.job(job_id).ended_at is None else ""


# ---- without a draft
def _add_home(app: FastAPI, studio: Studio) -> None:
    @app.get("/desk/home")
    def home() -> Response:
        """The page without a draft, and a job that is making one."""
        targets, drafts, found = studio.targets(), studio.drafts(), studio.datasets()
        html = view_data_home.home(targets, drafts, found, tuple(words.EXPORT_NAMES))
        slicing = (j.id for j in studio.jobs() if j.ended_at is None and j.kind == "slice")
        return JSONResponse({"html": html, "job": next(slicing, "")}, headers=NO_STORE)

    @app.post("/desk/drafts")
    def open_path(asked: OpenPath) -> Response:
        """Read a source on this machine into a draft."""
        draft = studio.open_source(_path(asked.path), backend=asked.backend, name=asked.name.strip())
        return JSONResponse({"draft": draft.id}, headers=NO_STORE)

    @app.post("/desk/slicing")
    def slice_path(asked: Slicing) -> Response:
        """Cut recordings on this machine at their pauses."""
        job = studio.start_slicing(
            [_path(asked.path)],
            backend=asked.backend,
            name=asked.name.strip(),
            min_sec=asked.min_sec,
            max_sec=asked.max_sec,
        )
        return JSONResponse({"job": job}, headers=NO_STORE)

    @app.post("/desk/demo")
    def demo() -> Response:
        """Make the demo voice and put it on the desk."""
        manifest = studio.make_demo_data()
        draft = studio.open_source(manifest, backend=studio.targets()[0].name, name="demo")
        faulty = manifest.with_name(FAULTY_DEMO)
        told = view_data_home.faults_to_find(str(faulty)) if faulty.exists() else ""
        return JSONResponse({"draft": draft.id, "told": told}, headers=NO_STORE)


def _add_uploads(app: FastAPI, studio: Studio, uploads: Uploads) -> None:
    @app.post("/desk/uploads")
    def begin() -> Response:
        """A place for the files of one upload."""
        return JSONResponse({"upload": uploads.begin()}, headers=NO_STORE)

    @app.put("/desk/uploads/{upload}/{name:path}")
    async def receive(upload: str, name: str, request: Request) -> Response:
        """One file of an upload, as the body."""
        return JSONResponse({"bytes": await uploads.receive(upload, name, request.stream())}, headers=NO_STORE)

    @app.post("/desk/uploads/{upload}/open")
    def open_upload(upload: str, asked: OpenUpload) -> Response:
        """Make a draft of what was uploaded; long recordings are cut at their pauses by a job."""
        name = asked.name.strip()
        if asked.slice:
            job = studio.start_slicing(
                uploads.files(upload), backend=asked.backend, name=name, min_sec=asked.min_sec, max_sec=asked.max_sec
            )
            uploads.discard_after(job, upload)
            return JSONResponse({"job": job}, headers=NO_STORE)
        draft = studio.open_upload(uploads.packed(upload), backend=asked.backend, name=name)
        uploads.discard(upload)
        return JSONResponse({"draft": draft.id}, headers=NO_STORE)

    @app.delete("/desk/uploads/{upload}")
    def discard(upload: str) -> Response:
        """Forget an upload that somebody cancelled."""
        uploads.discard(upload)
        return JSONResponse({"discarded": True}, headers=NO_STORE)


def _path(text: str) -> Path:
    if not text.strip():
        raise BadInput("Give the path of a folder or a manifest, or make the demo voice.")
    return Path(text.strip()).expanduser()


# ---- a draft
def _add_draft(app: FastAPI, studio: Studio, desks: Desks) -> None:
    @app.get("/desk/drafts/{draft_id}")
    def draft(draft_id: str) -> Response:
        """What stands around the rows."""
        found, report, desk = studio.draft(draft_id), studio.report(draft_id), desks.get(draft_id)
        told = view_data.verdict(report, desk) if found.audited else view_data.not_audited(found, report)
        shown = {
            "name": found.name or found.id,
            "audited": found.audited,
            "head": view_data.head(found, _title(studio, found.backend)),
            "verdict": told,
            "job": desks.running(draft_id),
        }
        return JSONResponse(shown, headers=NO_STORE)

    @app.delete("/desk/drafts/{draft_id}")
    def discard(draft_id: str) -> Response:
        """Take a draft off the desk; its source stays as it is."""
        if running := desks.running(draft_id):
            studio.cancel(running)
        studio.discard_draft(draft_id)
        return JSONResponse({"discarded": True}, headers=NO_STORE)

    @app.get("/desk/drafts/{draft_id}/rows")
    def rows(draft_id: str, asked: Annotated[Filters, Asked()]) -> Response:
        """A page of the rows that the filters leave."""
        found = data_rows.find(desks.get(draft_id), asked.query())
        return HTMLResponse(view_data_rows.table(found, opened=asked.row), headers=NO_STORE)

    @app.get("/desk/drafts/{draft_id}/points")
    def points(draft_id: str) -> Response:
        """The numbers of all plots, by row."""
        return JSONResponse(data_points.columns(desks.get(draft_id)), headers=NO_STORE)

    @app.get("/desk/drafts/{draft_id}/prepare")
    def prepare_form(draft_id: str) -> Response:
        """The settings of a preparation."""
        found = studio.draft(draft_id)
        settings = studio.default_settings(found.backend)
        return HTMLResponse(view_data.prepare_form(found, settings, _title(studio, found.backend)), headers=NO_STORE)

    @app.get("/desk/drafts/{draft_id}/plan")
    def plan(draft_id: str, keep_errors: bool = False) -> Response:
        """What preparing would do to the rows."""
        settings = replace(studio.default_settings(studio.draft(draft_id).backend), keep_errors=keep_errors)
        return HTMLResponse(view_data.plan(studio.planned(draft_id, settings)), headers=NO_STORE)


def _title(studio: Studio, backend: str) -> str:
    return next((t.title or t.name for t in studio.targets() if t.name == backend), backend)


# ---- a row
def _add_row(app: FastAPI, studio: Studio, desks: Desks) -> None:
    @app.get("/desk/drafts/{draft_id}/row")
    def row(draft_id: str, asked: Annotated[Filters, Asked()]) -> Response:
        """One row opened, by its id or by its place in the source, with its neighbours under the filters."""
        desk = desks.get(draft_id)
        known = desk.rows[asked.at] if 0 <= asked.at < len(desk.rows) else desks.row(draft_id, asked.row)
        found = data_rows.find(desk, asked.query())
        before, after, place = data_rows.neighbours(found.rows, known.id)
        html = view_data_row.card(draft_id, known, before=before, after=after, position=(place, len(found.rows)))
        return HTMLResponse(html, headers=NO_STORE)

    @app.get("/desk/drafts/{draft_id}/audio")
    def audio(draft_id: str, row: str) -> Response:
        """A row's sound as it is in the source."""
        path = studio.row_samples_path(draft_id, row)
        if not path.is_file():
            raise NotFound(f"{path.name} is not there any more; put the file back, or drop the row.")
        kind = SOUND_TYPES.get(path.suffix.lower(), "application/octet-stream")
        return FileResponse(path, media_type=kind, headers=SOON_STALE)

    @app.get("/desk/drafts/{draft_id}/wave.png")
    def wave(draft_id: str, row: str) -> Response:
        """A row's wave, in one ink."""
        return _picture(data_sound.wave_png, studio.row_samples_path(draft_id, row))

    @app.get("/desk/drafts/{draft_id}/spectrum.png")
    def spectrum(draft_id: str, row: str) -> Response:
        """A row's spectrogram, in one ink."""
        return _picture(data_sound.spectrum_png, studio.row_samples_path(draft_id, row))


def _picture(draw: Callable[[Path], bytes], path: Path) -> Response:
    return Response(draw(path), media_type="image/png", headers=SOON_STALE)


# ---- deciding
def _add_acts(app: FastAPI, studio: Studio, desks: Desks) -> None:
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
            told = f"{words.counted(len(ids), 'row')}: {words.ACTION_WORDS[action]}."
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
