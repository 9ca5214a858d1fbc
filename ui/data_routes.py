"""The data desk over HTTP: pieces of the page as HTML, plots as numbers, a row's sound, what somebody decided.

Knows HTTP and which call of the studio answers; `assets/ui/desk.js` puts the pieces into the page. Who may ask is
decided in `access`, before anything arrives here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Request
from fastapi import Query as Asked
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from engine.types import BadInput, NotFound
from ui import data_acts, data_points, data_rows, data_sound, view_data, view_data_home, view_data_row, view_data_rows
from ui import view_data_words as words
from ui.data_asked import Filters, OpenPath, OpenUpload, Slicing
from ui.data_desks import Desks
from ui.data_uploads import Uploads
from ui.no_store import NO_STORE

if TYPE_CHECKING:
    from engine.studio import Studio

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


def add(app: FastAPI, studio: Studio) -> None:
    """Add every route of the desk to the app."""
    desks, uploads = Desks(studio), Uploads(studio.workspace.root / ".uploads")
    _add_home(app, studio)
    _add_uploads(app, studio, uploads)
    _add_draft(app, studio, desks)
    _add_row(app, studio, desks)
    data_acts.add(app, studio, desks, uploads)


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
        backend = studio.targets()[0].name
        draft = studio.open_source(manifest, backend=backend, name="demo")
        faulty = manifest.with_name(FAULTY_DEMO)
        told = view_data_home.faults_to_find(str(faulty), backend) if faulty.exists() else ""
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
        found, desk = studio.draft(draft_id), desks.get(draft_id)
        report = studio.report(draft_id)
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
