"""The live route: what a watched run told since the last look, as compact JSON, by long poll.

`/live/runs/<id>?after=<event number>&has=<hashes>` answers when there is something new: columns of the curves after
that event, and those pieces of the page whose hash the browser does not have yet. Both are about content, so a browser
goes on where it was after the app was restarted. However many tabs watch a run, its files are read once a tick.
Knows HTTP and the studio; what the pieces look like is `view_runs`' business.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import blake2s
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from engine.types import EngineError, Outcome, Retained, Run, RunState
from ui import view, view_runs, view_swept
from ui.live_curves import Columns

if TYPE_CHECKING:
    from engine.studio import Studio

TICK_SEC = 0.35  # between two looks at a run's events
STATE_SEC = 1.0  # between two looks at what has no event: queue, stop flag, a trainer that is gone
JUDGED_SEC = 10.0  # between two looks at verdicts, and at checkpoints that came without an event
HOLD_SEC = 20.0  # how long a question without an answer is kept; then the browser asks again
FORGET_SEC = 120.0  # how long a run that nobody watches is remembered
SLOW_KINDS = ("start", "checkpoint", "alert", "end")  # what changes more than the curves and the head of the page
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def add(app: FastAPI, studio: Studio, *, clock: Callable[[], float] = time.monotonic) -> None:
    """Add the live route to the app."""
    watched = Watched(studio, clock=clock)

    @app.get("/live/runs/{run_id}")
    async def live(
        request: Request,
        run_id: str,
        after: int = -1,
        has: str = Query("", max_length=400),
        wait: float = Query(HOLD_SEC, ge=0, le=60),
    ) -> Response:
        """What is new of a run, as soon as something is; after `wait` seconds an answer without news."""
        seen = frozenset(has.split("."))
        end = clock() + wait
        while True:
            channel = watched.fresh(run_id)
            if channel is None:
                channel = await run_in_threadpool(watched.look, run_id)
            if channel.has_news(after, seen) or clock() >= end or await request.is_disconnected():
                return Response(channel.answer(after, seen), media_type="application/json", headers=HEADERS)
            await asyncio.sleep(min(channel.next_look_sec(), max(0.0, end - clock())))


class Watched:
    """The runs that somebody watches. Safe to use from several threads."""

    def __init__(self, studio: Studio, *, clock: Callable[[], float]) -> None:
        self._studio = studio
        self._clock = clock
        self._guard = threading.Lock()
        self._channels: dict[str, Channel] = {}
        self._board = Board(studio, clock)

    def fresh(self, run_id: str) -> Channel | None:
        """The run, if somebody looked at it within the tick."""
        channel = self._channels.get(run_id)
        return channel if channel is not None and channel.is_fresh else None

    def look(self, run_id: str) -> Channel:
        """The run, looked at now unless somebody did within the tick. Raises NotFound for a run that is not there."""
        with self._guard:
            now = self._clock()
            self._channels = {i: c for i, c in self._channels.items() if i == run_id or not c.is_forgotten(now)}
            channel = self._channels.get(run_id)
            if channel is None:
                channel = Channel(self._studio, self._studio.run(run_id), self._board, self._clock)
                self._channels[run_id] = channel
        channel.look()
        return channel


class Board:
    """What is the same for every watched run: all runs, the queue, verdicts and what keeps a checkpoint."""

    def __init__(self, studio: Studio, clock: Callable[[], float]) -> None:
        self._studio = studio
        self._clock = clock
        self._guard = threading.Lock()
        self._runs_at = self._judged_at = float("-inf")
        self.html = ""
        self.verdicts: Mapping[str, Outcome] = {}
        self.kept: Mapping[str, Retained] = {}

    def look(self) -> None:
        """Read again what is older than its time."""
        with self._guard:
            now = self._clock()
            if now - self._runs_at >= STATE_SEC:
                self.html = view_runs.board(self._studio.runs(), self._studio.queue())
                self._runs_at = self._clock()
            if now - self._judged_at >= JUDGED_SEC:
                self.verdicts = best_outcomes(self._studio)
                self.kept = {one.checkpoint_id: one for one in self._studio.retention()}
                self._judged_at = self._clock()


def best_outcomes(studio: Studio) -> dict[str, Outcome]:
    """The best verdict about any candidate of each judged checkpoint."""
    order = (Outcome.PASS, Outcome.UNDECIDED, Outcome.FAIL)
    found: dict[str, Outcome] = {}
    for verdict in studio.verdicts():
        checkpoint_id = verdict.candidate.checkpoint_id
        if checkpoint_id is not None:
            before = found.get(checkpoint_id, Outcome.FAIL)
            found[checkpoint_id] = min(before, verdict.outcome, key=order.index)
    return found


class Channel:
    """One watched run: its curves and the pieces of its page, read once a tick for all who watch."""

    def __init__(self, studio: Studio, run: Run, board: Board, clock: Callable[[], float]) -> None:
        self.run = run
        self._studio = studio
        self._board = board
        self._clock = clock
        self._reading = threading.Lock()  # held by the one who reads; the others go on with what was read
        self._guard = threading.Lock()  # protects what an answer is made of; never held while a file is read
        self._columns = Columns()
        self._offset = 0
        self._looked_at = self._state_at = self._saved_at = float("-inf")
        self._pieces: dict[str, tuple[str, Any]] = {}  # name -> hash, content
        self._answers: dict[tuple[int, frozenset[str]], bytes] = {}

    def next_look_sec(self) -> float:
        """Until the next look: all who wait for this run wake together."""
        return max(0.01, self._looked_at + TICK_SEC - self._clock())

    def is_forgotten(self, now: float) -> bool:
        return now - self._looked_at > FORGET_SEC

    @property
    def is_fresh(self) -> bool:
        return self._clock() - self._looked_at < TICK_SEC

    def look(self) -> None:
        """Read what is new, unless somebody reads it now or did within the tick. Only the first look is waited for."""
        if not self._reading.acquire(blocking=self._looked_at == float("-inf")):
            return
        try:
            if not self.is_fresh:
                self._read()
                self._looked_at = self._clock()
        finally:
            self._reading.release()

    def _read(self) -> None:
        events, self._offset = self._studio.news(self.run.id, self._offset)
        with self._guard:
            is_news = self._columns.add(events)
        is_due = self._clock() - self._state_at >= STATE_SEC
        if not (is_news or is_due):
            return
        self.run = self._studio.run(self.run.id)
        found = {"head": view_runs.head(self.run)}
        is_marked = any(event.kind in SLOW_KINDS for event in events)
        if is_due or is_marked:
            self._board.look()
            found |= {"board": self._board.html, "failure": self._failure()}
            found["log"] = view_runs.log_lines(self._studio.log_tail(self.run.id))
            self._state_at = self._clock()
        if is_marked or self._clock() - self._saved_at >= JUDGED_SEC:
            found |= self._saved()
            self._saved_at = self._clock()
        with self._guard:
            for name, content in found.items():
                self._keep(name, content)
            self._answers = {}

    def _saved(self) -> dict[str, Any]:
        """What checkpoints and alerts make: they change seldom, and a long run has many."""
        found = self._studio.checkpoints(self.run.id)
        return {
            "alerts": view_runs.alerts(self._columns.alerts),
            "swept": self._swept(),
            "checkpoints": view_runs.run_checkpoints(self.run, found, self._board.kept, self._board.verdicts),
            "marks": self._marks({c.step: c.id for c in found}),
        }

    def _swept(self) -> str:
        """What becomes of new checkpoints; nothing where none will come and none was swept by itself."""
        swept = next((each for each in self._studio.automatic_sweeps() if each.run_id == self.run.id), None)
        sweeps = [s for s in self._studio.sweeps() if s.record.run_id == self.run.id and s.record.is_automatic]
        if self.run.state.is_over and not sweeps:
            return ""
        try:
            cost = self._studio.each_checkpoint(swept, self.run.config.backend) if swept else None
        except EngineError:  # the script is gone: the setting's trouble says so
            return view.notice(swept.trouble, bad=True) if swept and swept.trouble else ""
        return view_swept.card(self.run.id, swept, cost, sweeps)

    def _failure(self) -> str:
        if self.run.state not in (RunState.FAILED, RunState.LOST):
            return ""
        found = self._studio.failure(self.run.id)
        return view_runs.failure(found) if found else view_runs.failed_without_a_card(self.run)

    def _marks(self, ids: Mapping[int, str]) -> dict[str, Any]:
        saved = [
            view_runs.mark(self.run, step, epoch, ids.get(step), self._board.verdicts.get(ids.get(step, "")))
            for step, epoch in self._columns.saved
        ]
        alerts = [{"step": a.step, "text": a.text, "stops": a.stops} for a in self._columns.alerts]
        return {"checkpoints": saved, "alerts": alerts, "resumes": self._columns.resumes}

    def _keep(self, name: str, content: Any) -> None:
        before = self._pieces.get(name)
        if before is None or before[1] != content:
            # The name goes in too: two empty pieces are two pieces.
            key = blake2s(f"{name} {json.dumps(content)}".encode(), digest_size=5).hexdigest()
            self._pieces[name] = (key, content)

    def has_news(self, after: int, seen: frozenset[str]) -> bool:
        """Whether a browser that knows this much lacks anything."""
        return after != self._columns.seq or any(key not in seen for key, _ in self._pieces.values())

    def answer(self, after: int, seen: frozenset[str]) -> bytes:
        """What such a browser lacks, as JSON. Made once for all that know the same."""
        with self._guard:
            made = self._answers.get((after, seen))
            if made is None:
                told = {
                    "run": self.run.id,
                    "state": self.run.state,
                    "over": self.run.state.is_over,
                    "epochs": self.run.config.epochs,
                    **self._columns.after(after),
                    "has": ".".join(key for key, _ in self._pieces.values()),
                    "pieces": {name: told for name, (key, told) in self._pieces.items() if key not in seen},
                }
                made = json.dumps(told, separators=(",", ":"), allow_nan=False).encode()
                self._answers[after, seen] = made
            return made
