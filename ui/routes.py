"""Our own routes beside Gradio's: the reviewers', clips for engineers, an export as one file.

Knows HTTP and which call of the studio answers. Who may ask is decided in `access`, before anything arrives here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from engine.types import BadInput, Busy, DiskFull, EngineError, NotFound, Refused
from ui import blind_routes, data_routes, figures, live, sweep_routes, view_sweep
from ui.no_store import NO_STORE

if TYPE_CHECKING:
    from engine.studio import Studio

LOOK = Path(__file__).parents[1] / "assets" / "ui"
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
STATUS: dict[type[EngineError], int] = {BadInput: 400, NotFound: 404, Busy: 409, Refused: 409, DiskFull: 507}


def add(app: FastAPI, studio: Studio) -> None:
    """Add every route of ours to the app."""
    app.add_exception_handler(EngineError, _told)
    app.mount("/look", StaticFiles(directory=LOOK))
    blind_routes.add(app, studio)
    _add_engineering(app, studio)
    data_routes.add(app, studio)
    live.add(app, studio)
    sweep_routes.add(app, studio)


def _add_engineering(app: FastAPI, studio: Studio) -> None:
    @app.get("/data")
    def data() -> Response:
        """The Data page is the first one; whoever types its name gets there."""
        return RedirectResponse("/")

    @app.get("/clips/{clip_id}")
    def clip(clip_id: str) -> Response:
        """A rendered clip, for engineers' pages."""
        return FileResponse(studio.clip(clip_id).path, headers={"Cache-Control": "private, max-age=3600"})

    @app.get("/clips/{clip_id}/spectrum.png")
    def spectrum(clip_id: str) -> Response:
        """A clip's spectrogram: energy as opacity, so that the page's own ink draws it."""
        png = figures.spectrum_png(studio.clip(clip_id).path)
        return Response(png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    @app.get("/clips/{clip_id}/words")
    def words(clip_id: str) -> Response:
        """A clip's text with what the ear heard of it, as a piece of the Sweep page."""
        return HTMLResponse(
            view_sweep.word_marks(studio.words(clip_id), studio.clip(clip_id).language), headers=NO_STORE
        )

    @app.get("/listening-tests/{test_id}.{kind}")
    def listening_test(test_id: str, kind: str) -> Response:
        """A listening test as data, by the kind of file: everything it takes to analyse it again."""
        data = studio.export_test(test_id, kind)
        headers = {**NO_STORE, "Content-Disposition": f'attachment; filename="listening-test-{test_id}.{kind}"'}
        return Response(data, media_type=MEDIA_TYPES.get(kind, "application/octet-stream"), headers=headers)

    @app.get("/exports/{alias:path}.zip")
    def export(alias: str) -> Response:
        """A promoted voice as one zip file."""
        file = studio.export_zip(alias)
        return FileResponse(file, media_type="application/zip", filename=f"{alias.replace('/', '-')}.zip")


async def _told(_: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"error": str(error)}, status, headers=NO_STORE)
