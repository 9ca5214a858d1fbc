"""Our own routes beside Gradio's: a trial and its audio by opaque token, clips for engineers, an export as one file.

Knows HTTP and which call of the studio answers. Who may ask is decided in `access`, before anything arrives here.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.staticfiles import StaticFiles

from engine.types import REASON_CODES, BadInput, Busy, Choice, DiskFull, EngineError, NotFound, Refused
from ui import data_routes, figures, live, view_sweep

if TYPE_CHECKING:
    from engine.listening import TrialView
    from engine.studio import Studio

log = logging.getLogger(__name__)

LOOK = Path(__file__).parents[1] / "assets" / "ui"
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
STATUS: dict[type[EngineError], int] = {BadInput: 400, NotFound: 404, Busy: 409, Refused: 409, DiskFull: 507}


class Answer(BaseModel):
    """What a browser sends for a trial. A field that is not known is refused."""

    model_config = ConfigDict(extra="forbid")

    session: str
    trial: str
    choice: Choice
    reasons: list[str] = Field(default_factory=list, max_length=len(REASON_CODES))
    note: str = Field(default="", max_length=500)
    plays: dict[str, int]


def add(app: FastAPI, studio: Studio) -> None:
    """Add every route of ours to the app."""
    app.add_exception_handler(EngineError, _told)
    app.mount("/look", StaticFiles(directory=LOOK))
    _add_blind(app, studio)
    _add_engineering(app, studio)
    data_routes.add(app, studio)
    live.add(app, studio)


def _add_blind(app: FastAPI, studio: Studio) -> None:
    @app.get("/blind/sittings")
    def sittings() -> Response:
        """The sittings that still have a question."""
        found = []
        for session in studio.sessions():
            done, total = studio.session_progress(session.id)
            if done < total and not session.simulated:
                found.append(
                    {
                        "session": session.id,
                        "reviewer": session.reviewer,
                        "kind": session.kind,
                        "done": done,
                        "total": total,
                    }
                )
        return JSONResponse({"sittings": found}, headers=NO_STORE)

    @app.get("/blind/trial")
    def trial(session: str) -> Response:
        """The trial to answer now; after a reload the same one."""
        view = studio.next_trial(session)
        return JSONResponse(_finished(studio, session) if view is None else payload(view), headers=NO_STORE)

    @app.get("/blind/audio/{token}")
    def audio(token: str) -> Response:
        """One side's audio. Every side of a trial comes with the same headers and the same number of bytes."""
        try:
            sound = studio.stimulus(token)
        except EngineError as error:  # its sentence may name a clip: the reviewer gets one that names nothing
            log.warning("no audio for a trial: %s", error)
            return JSONResponse({"error": "This clip is not here any more; reload the page."}, 404, headers=NO_STORE)
        return Response(sound, media_type="audio/wav", headers=NO_STORE)

    @app.post("/blind/answer")
    def answer(given: Answer) -> Response:
        """Keep one answer. Sending the same answer again changes nothing."""
        _check_heard(studio.next_trial(given.session), given)
        studio.answer(given.trial, given.choice, reasons=given.reasons, note=given.note, plays=given.plays)
        return JSONResponse({"saved": True}, headers=NO_STORE)


def _add_engineering(app: FastAPI, studio: Studio) -> None:
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
        return HTMLResponse(view_sweep.word_marks(studio.words(clip_id)), headers=NO_STORE)

    @app.get("/exports/{alias:path}.zip")
    def export(alias: str) -> Response:
        """A promoted voice as one zip file."""
        file = studio.export_zip(alias)
        return FileResponse(file, media_type="application/zip", filename=f"{alias.replace('/', '-')}.zip")


def payload(view: TrialView) -> dict[str, Any]:
    """All that a browser learns of a trial: its text and labels, and a token a side."""
    return {
        "trial": view.trial_id,
        "kind": view.kind,
        "text": view.text,
        "slots": [{"label": label, "token": token} for label, token in view.slots],
        "position": view.position + 1,  # people count from one
        "total": view.total,
        "reasons": list(view.reasons),
    }


def _finished(studio: Studio, session_id: str) -> dict[str, Any]:
    return {"finished": True, "total": studio.session_progress(session_id)[1]}


def _check_heard(view: TrialView | None, given: Answer) -> None:
    """Refuses an answer to the open trial before every side was heard to its end."""
    if view is None or view.trial_id != given.trial:
        return  # not the open one: the studio knows whether it is a repeat of an answer or none at all
    if any(given.plays.get(label, 0) < 1 for label, _ in view.slots):
        raise Refused("Listen to every clip to its end before you answer.")


async def _told(_: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    return JSONResponse({"error": str(error)}, status, headers=NO_STORE)
