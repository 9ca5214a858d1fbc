"""The Sweep page over HTTP: what can be asked, what it costs, how far it is, the grid, one clip, scripts, references.

Knows HTTP and which call of the studio answers.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, File, Form, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, Response

from engine.types import BadInput, Candidate, TrialKind
from ui import sweep_shown, view, view_leaks, view_sweep, view_sweep_form
from ui.no_store import NO_STORE
from ui.sweep_asked import Automatic, Choose, PathReference, RowReference, SaveScript, Send, Sweep, Text

if TYPE_CHECKING:
    from engine.studio import Studio

LARGEST_UPLOAD = 50_000_000


def add(app: FastAPI, studio: Studio) -> None:
    """Add the routes of the Sweep page."""
    _add_sweeps(app, studio)
    _add_leaks(app, studio)
    _add_grid(app, studio)
    _add_scripts(app, studio)
    _add_references(app, studio)
    _add_sending(app, studio)


def _add_sweeps(app: FastAPI, studio: Studio) -> None:
    @app.get("/sweeps/page")
    def page(run: str = "") -> Response:
        """The runs, the form of one of them, and the measures that a grid can show."""
        return JSONResponse(sweep_shown.page(studio, run), headers=NO_STORE)

    @app.post("/sweeps/plan")
    def plan(asked: Sweep) -> Response:
        """What a sweep would cost."""
        planned = studio.plan_sweep(asked.request(studio))
        return HTMLResponse(view_sweep_form.cost(planned, studio.screening_sec(planned)), headers=NO_STORE)

    @app.post("/sweeps")
    def start(asked: Sweep) -> Response:
        """Render and screen."""
        return JSONResponse({"id": studio.start_sweep(asked.request(studio), by=asked.by, run_id=asked.run)})

    @app.get("/sweeps/going")
    def going() -> Response:
        """How far the sweeps are; `stamp` changes with what they have done."""
        return JSONResponse(sweep_shown.going(studio), headers=NO_STORE)

    @app.post("/sweeps/sweep/{sweep_id}/{act}")
    def act(sweep_id: str, act: str) -> Response:
        """Pause, resume or cancel."""
        acts = {"pause": studio.pause_sweep, "resume": studio.resume_sweep, "cancel": studio.cancel_sweep}
        if act not in acts:
            raise BadInput(f"There is nothing called {act!r} to do with a sweep.")
        acts[act](sweep_id)
        return JSONResponse({}, headers=NO_STORE)

    @app.post("/sweeps/automatic")
    def automatic(asked: Automatic) -> Response:
        """Sweep every new checkpoint of a run, or leave them alone again."""
        if asked.on:
            studio.sweep_new_checkpoints(asked.automatic())
        else:
            studio.stop_sweeping_new(asked.run)
        return HTMLResponse(view_sweep_form.automatic(*sweep_shown.automatic(studio, asked.run)), headers=NO_STORE)


def _add_leaks(app: FastAPI, studio: Studio) -> None:
    @app.post("/sweeps/leaks/plan")
    def plan_leaks(asked: Sweep) -> Response:
        """What a leak check of the same choice would cost."""
        return HTMLResponse(view_leaks.cost(studio.plan_leak_check(asked.request(studio))), headers=NO_STORE)

    @app.post("/sweeps/leaks")
    def check_leaks(asked: Sweep) -> Response:
        """Look for leaks of the reference."""
        return JSONResponse({"id": studio.start_leak_check(asked.request(studio), by=asked.by)})

    @app.post("/sweeps/leaks/cancel")
    def cancel_leaks() -> Response:
        """End the check that goes on; what it rendered stays."""
        if (job := studio.leak_job()) is not None:
            studio.cancel(job.id)
        return JSONResponse({}, headers=NO_STORE)


def _add_grid(app: FastAPI, studio: Studio) -> None:
    @app.get("/sweeps/grid")
    def grid(run: str, measure: str = "", tier: str = "", script: str = "", reference: str = "any") -> Response:
        """The grid with its curves, and the takes of every cell: line, seed and clip."""
        chosen = sweep_shown.Chosen(run=run, measure=measure, tier=tier, script=script, reference=reference)
        return JSONResponse(sweep_shown.grid(studio, chosen), headers=NO_STORE)

    @app.get("/sweeps/clips/{clip_id}")
    def clip(clip_id: str) -> Response:
        """One clip with what the measures say of it."""
        found = studio.clip(clip_id)
        titles = {m.name: m.title for m in studio.measures()}
        scores = studio.scores([clip_id]).get(clip_id, [])
        panel = view_sweep.clip_panel(found, studio.label(found.candidate), scores, titles)
        return HTMLResponse(panel, headers=NO_STORE)


def _add_scripts(app: FastAPI, studio: Studio) -> None:
    @app.get("/sweeps/scripts/{name}")
    def script(name: str, run: str = "") -> Response:
        """The editor over a script, with what each of its lines measured with the run's voice."""
        return HTMLResponse(sweep_shown.editor(studio, name, run), headers=NO_STORE)

    @app.post("/sweeps/scripts/check")
    def check(asked: Text) -> Response:
        """What is wrong with an edited script, line by line."""
        found = [fault.sentence for fault in studio.script_faults(asked.text)]
        return JSONResponse({"html": view_sweep_form.faults(found), "usable": not found}, headers=NO_STORE)

    @app.post("/sweeps/scripts")
    def save(asked: SaveScript) -> Response:
        """Keep an edited script under its name."""
        made = studio.save_script(asked.name.strip(), asked.text, language=asked.language)
        return JSONResponse({"name": made.name, "scripts": list(studio.scripts())}, headers=NO_STORE)


def _add_references(app: FastAPI, studio: Studio) -> None:
    @app.post("/sweeps/references/row")
    def row(asked: RowReference) -> Response:
        """A row of the run's dataset as an audio prompt."""
        return JSONResponse({"id": studio.reference_of_row(asked.dataset, asked.row).reference.sha256})

    @app.post("/sweeps/references/path")
    def path(asked: PathReference) -> Response:
        """A recording on this machine as an audio prompt."""
        kept = studio.keep_reference(Path(asked.path).expanduser(), asked.text, name=asked.name)
        return JSONResponse({"id": kept.reference.sha256})

    @app.post("/sweeps/references/upload")
    def upload(
        file: Annotated[UploadFile, File()], text: Annotated[str, Form()] = "", name: Annotated[str, Form()] = ""
    ) -> Response:
        """A recording from the browser as an audio prompt."""
        if (file.size or 0) > LARGEST_UPLOAD:
            raise BadInput(f"{file.filename} is larger than {view.size(LARGEST_UPLOAD)}; cut it to 5 to 15 s.")
        called = Path(file.filename or "reference.wav").name
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / called
            with copy.open("wb") as target:
                shutil.copyfileobj(file.file, target)
            kept = studio.keep_reference(copy, text, name=name or Path(called).stem)
        return JSONResponse({"id": kept.reference.sha256})


def _add_sending(app: FastAPI, studio: Studio) -> None:
    @app.post("/sweeps/send")
    def send(asked: Send) -> Response:
        """Open a blind sitting over the marked candidates."""
        chosen = _candidates(studio, asked.candidates, asked.at_least)
        told = sweep_shown.sent(studio, TrialKind(asked.kind), chosen, asked.reviewer, asked.gate)
        return HTMLResponse(told, headers=NO_STORE)

    @app.post("/sweeps/send/outline")
    def outline(asked: Choose) -> Response:
        """What a sitting over the marked candidates would ask of a reviewer."""
        chosen = _candidates(studio, asked.candidates, asked.at_least)
        return HTMLResponse(sweep_shown.outline(studio, TrialKind(asked.kind), chosen, asked.gate), headers=NO_STORE)


def _candidates(studio: Studio, ids: list[str], at_least: int) -> list[Candidate]:
    known = {c.candidate.id: c.candidate for c in studio.clips()}
    found = [known[name] for name in ids if name in known]
    if len(found) < at_least:
        need = "a candidate" if at_least == 1 else "two candidates"
        raise BadInput(f"Mark {need} first: click a cell, then click it again.")
    return found
