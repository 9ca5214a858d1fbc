"""The reviewers' routes: a trial, its audio by opaque token, the answer, and what comes before the first trial.

Knows HTTP and which call of the studio answers. Nothing here may differ by what is behind a side: no header, no length,
no sentence.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from engine.types import REASON_CODES, Choice, EngineError, NotFound
from ui.access import Listener
from ui.no_store import NO_STORE

if TYPE_CHECKING:
    from engine.listening import Scale, TrialView
    from engine.studio import FlagQuestion, Studio
    from engine.types import Session

log = logging.getLogger(__name__)

NO_SITTING = "There is no such sitting; open Listen again."
MOST_EVENTS = 2000
Label = str


class Answer(BaseModel):
    """What a browser sends for a trial. A field that is not known is refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    session: str
    trial: str
    choice: Choice | None = None
    rating: float | None = None
    ratings: dict[Label, float] = Field(default_factory=dict, max_length=8)
    reasons: list[str] = Field(default_factory=list, max_length=len(REASON_CODES))
    note: str = Field(default="", max_length=500)
    plays: dict[Label, int]
    events: list[tuple[float, str, str, float]] = Field(default_factory=list, max_length=MOST_EVENTS)
    volume: float | None = Field(default=None, ge=0, le=1)


class Withdrawal(BaseModel):
    """Which answer a browser takes back."""

    model_config = ConfigDict(extra="forbid")

    session: str
    trial: str


class FlagAnswer(BaseModel):
    """What a browser sends about a flag: one of the values that the question offered."""

    model_config = ConfigDict(extra="forbid")

    session: str
    trial: str
    choice: str = Field(max_length=64)


class HeadphoneAnswers(BaseModel):
    """Which interval of each trial was the quietest, from 0."""

    model_config = ConfigDict(extra="forbid")

    session: str
    answers: list[int] = Field(min_length=6, max_length=6)


def add(app: FastAPI, studio: Studio) -> None:
    """Add the routes under /blind."""
    _add_queue(app, studio)
    _add_trials(app, studio)
    _add_answers(app, studio)
    _add_setting_up(app, studio)


def _add_queue(app: FastAPI, studio: Studio) -> None:
    @app.get("/blind/sittings")
    def sittings(request: Request) -> Response:
        """The sittings that still have a question: an invited reviewer's own, or everybody's."""
        listener = _listener(request)
        found = [
            {
                "session": each.session.id,
                "reviewer": each.session.reviewer,
                "kind": each.session.kind,
                "done": each.answered,
                "total": each.total,
                **_before_it(studio, each.session),
            }
            for each in studio.waiting_sittings(listener.reviewer)
        ]
        return JSONResponse({"reviewer": listener.reviewer, "sittings": found}, headers=NO_STORE)


def _add_trials(app: FastAPI, studio: Studio) -> None:
    @app.get("/blind/trial")
    def trial(request: Request, session: str) -> Response:
        """The trial to answer now; after a reload the same one. A question about the last answer comes first."""
        _check_own(studio, request, session)
        asked = studio.flag_question(session)
        if asked is not None:
            return JSONResponse({**payload(asked.trial), "question": _question(asked)}, headers=NO_STORE)
        view = studio.next_trial(session)
        return JSONResponse(_finished(studio, session) if view is None else payload(view), headers=NO_STORE)

    @app.get("/blind/audio/{token}")
    async def audio(request: Request, token: str) -> Response:
        """One side's audio. Every side of a trial comes with the same headers and the same number of bytes."""

        def found() -> bytes:
            _check_own(studio, request, studio.session_of_token(token))
            return studio.stimulus(token)

        try:
            if (sound := studio.ready_stimulus(token)) is not None:  # all sides of its trial are; no thread is needed
                _check_own(studio, request, studio.session_of_token(token))
            else:
                sound = await run_in_threadpool(found)
        except EngineError as error:  # its sentence may name a clip: the reviewer gets one that names nothing
            log.warning("no audio for a trial: %s", error)
            return JSONResponse({"error": "This clip is not here any more; reload the page."}, 404, headers=NO_STORE)
        return Response(sound, media_type="audio/wav", headers=NO_STORE)


def _add_answers(app: FastAPI, studio: Studio) -> None:
    @app.post("/blind/answer")
    def answer(request: Request, given: Answer) -> Response:
        """Keep one answer. Sending the same answer again changes nothing."""
        _check_own(studio, request, given.session)
        studio.answer(
            given.trial,
            given.choice,
            rating=given.rating,
            ratings=given.ratings,
            reasons=given.reasons,
            note=given.note,
            plays=given.plays,
            events=given.events,
            volume=given.volume,
            session_id=given.session,
            must_be_heard=True,
        )
        return _saved(studio, given.session)

    @app.post("/blind/flag")
    def flag(request: Request, given: FlagAnswer) -> Response:
        """Keep what was said to a flag. Sending it again changes nothing."""
        _check_own(studio, request, given.session)
        studio.answer_flag(given.session, given.trial, given.choice)
        return _saved(studio, given.session)

    @app.post("/blind/withdraw")
    def withdraw(request: Request, given: Withdrawal) -> Response:
        """Take back the last answer: its trial is the next one again."""
        _check_own(studio, request, given.session)
        studio.withdraw(given.session, given.trial)
        return JSONResponse({"withdrawn": True}, headers=NO_STORE)


def _add_setting_up(app: FastAPI, studio: Studio) -> None:
    @app.get("/blind/level")
    def level() -> Response:
        """A sound as loud as every clip, to set the volume by."""
        return Response(studio.level_clip(), media_type="audio/wav", headers=NO_STORE)

    @app.get("/blind/headphones")
    def headphones(request: Request, session: str) -> Response:
        """Six trials of three tones by opaque token; which one is right is not said."""
        _check_own(studio, request, session)
        tokens = studio.headphone_check(session)
        return JSONResponse({"trials": [{"tokens": list(each)} for each in tokens]}, headers=NO_STORE)

    @app.post("/blind/headphones")
    def checked(request: Request, given: HeadphoneAnswers) -> Response:
        """How many were right, and whether that is enough."""
        _check_own(studio, request, given.session)
        correct, passed = studio.check_headphones(given.session, given.answers)
        return JSONResponse({"correct": correct, "passed": passed}, headers=NO_STORE)


def _listener(request: Request) -> Listener:
    """Who asks, as the guard found; without a guard in front, somebody at this machine."""
    return getattr(request.state, "listener", None) or Listener()


def _check_own(studio: Studio, request: Request, session_id: str) -> None:
    """Raises NotFound alike for a sitting that is not there and one of somebody else."""
    listener = _listener(request)
    try:
        session = studio.session(session_id)
    except NotFound:
        raise NotFound(NO_SITTING) from None
    if not listener.everybodys and listener.reviewer != session.reviewer:
        raise NotFound(NO_SITTING)


def _before_it(studio: Studio, session: Session) -> dict[str, Any]:
    """What the test says before its first trial. Its name is the engineers': it may say what is compared."""
    test = studio.test_of(session)
    if test is None:
        return {"instructions": "", "headphones": False, "dry_run": False}
    return {"instructions": test.instructions, "headphones": test.headphones, "dry_run": session.dry_run}


def payload(view: TrialView) -> dict[str, Any]:
    """All that a browser learns of a trial: its text and labels, and a token a side."""
    return {
        "trial": view.trial_id,
        "kind": view.kind,
        "text": view.text,
        "slots": [{"label": label, "token": token} for label, token in view.slots],
        "position": view.position,
        "total": view.total,
        "reasons": list(view.reasons),
        "scale": None if view.scale is None else _scale(view.scale),
        "training": view.training,
        "switching": view.switching,
        "upcoming": list(view.upcoming),
        "previous": view.previous,
        "control": view.control,
    }


def _saved(studio: Studio, session_id: str) -> Response:
    asked = studio.flag_question(session_id)
    return JSONResponse({"saved": True} | ({"question": _question(asked)} if asked else {}), headers=NO_STORE)


def _question(asked: FlagQuestion) -> dict[str, Any]:
    """What a browser learns of a flag, once the clip was judged: never what measured it, nor how much."""
    return {
        "trial": asked.trial.trial_id,
        "text": asked.text,
        "reason": asked.reason,
        "words": list(asked.words),
        "choices": [[value, label] for value, label in asked.choices],
    }


def _scale(scale: Scale) -> dict[str, Any]:
    labels = [[value, text] for value, text in scale.labels]
    return {"min": scale.min, "max": scale.max, "step": scale.step, "labels": labels}


def _finished(studio: Studio, session_id: str) -> dict[str, Any]:
    return {"finished": True, "total": studio.session_progress(session_id)[1]}
