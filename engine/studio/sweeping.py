"""Use cases about sweeps: what one would cost, and one in the background that can be paused and survives the app."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial

from engine import backends, pace, sweep, sweep_records
from engine.jobs import Report
from engine.studio.rendering import Rendering
from engine.sweep_progress import SCREEN_SEC, Going, SweepView
from engine.sweep_records import SweepRecord, SweepState
from engine.types import BadInput, Clip, Refused
from engine.workspace import Workspace

Progress = Callable[[int, int, str], None]
KEEP_SEC = 2.0  # how often a sweep that runs says on the disk how far it is
WAITS_FOR_RUN = "Waits for a training that is next in the queue"


class _Stopped(Exception):
    """A sweep was asked to stop while it waited for its device."""


class Sweeping(Rendering):
    """What renders clips on the Sweep page, and by itself."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._guard = threading.RLock()  # over the three tables below and the files of sweeps
        self._sweeps: dict[str, Going] = {}  # those that this process renders

    # ---------------------------------------------------------------------------------------------------------- asking
    def plan_sweep(self, request: sweep.Request) -> sweep.Plan:
        """What a sweep would render and what it would cost; nothing is loaded or written."""
        if not request.candidates:
            raise BadInput("A sweep needs at least one candidate: choose checkpoints and scales.")
        ids = {c.checkpoint_id for c in request.candidates if c.checkpoint_id}
        adapters = {checkpoint_id: self.checkpoint(checkpoint_id).adapter for checkpoint_id in ids}
        infos = {backend: backends.info(backend) for backend in {c.backend for c in request.candidates}}
        paces = pace.learnt(self.store.clips())
        return sweep.plan(request, clips=self.workspace.clips, adapters=adapters, infos=infos, paces=paces)

    def screening_sec(self, plan: sweep.Plan) -> float:
        """How long the screeners are expected to listen to what is rendered, by what they took here so far."""
        return plan.audio_sec * self._screening_pace()

    def start_sweep(self, request: sweep.Request, *, by: str = "", run_id: str = "") -> str:
        """Render and screen in the background; returns the sweep's id. It goes on when the app is started again."""
        record = self._new_sweep(request, by=by, run_id=run_id)
        self._go(record)
        return record.id

    def render(self, request: sweep.Request, on_progress: Progress | None = None, *, by: str = "") -> list[Clip]:
        """Render and screen in the foreground. When it is interrupted, `finish_sweep` goes on."""
        return self._foreground(self._new_sweep(request, by=by, run_id=""), on_progress)

    def finish_sweep(self, sweep_id: str, on_progress: Progress | None = None) -> list[Clip]:
        """Go on in the foreground with a sweep that did not come to its end."""
        return self._foreground(self._sweep_record(sweep_id), on_progress)

    def sweeps(self) -> list[SweepView]:
        """All sweeps, newest first."""
        return [self._view(r) for r in sweep_records.listing(self.workspace.sweeps, self.workspace.references)]

    def sweep_view(self, sweep_id: str) -> SweepView:
        """One sweep. Raises NotFound."""
        return self._view(self._sweep_record(sweep_id))

    def pause_sweep(self, sweep_id: str) -> None:
        """Stop after the clips that are being rendered; `resume_sweep` goes on from there, also after a restart."""
        self._stop(sweep_id, SweepState.PAUSED)

    def cancel_sweep(self, sweep_id: str) -> None:
        """Stop after the clips that are being rendered; what was finished stays."""
        self._stop(sweep_id, SweepState.CANCELLED)

    def resume_sweep(self, sweep_id: str) -> None:
        """Go on with a sweep that was paused, cancelled or failed. Raises Refused for one that is not over."""
        record = self._sweep_record(sweep_id)
        if not record.state.may_go_on:
            raise Refused(f"{sweep_id} is {record.state}; only what was paused, cancelled or failed can go on.")
        self._go(self._keep_sweep(replace(record, state=SweepState.WAITING, error="", message="")))

    # ----------------------------------------------------------------------------------------------------------- doing
    def _new_sweep(self, request: sweep.Request, *, by: str, run_id: str) -> SweepRecord:
        plan = self.plan_sweep(request)
        now = self._clock()
        with self._guard:
            return self._keep_sweep(
                SweepRecord(
                    id=sweep_records.new_id(self.workspace.sweeps),
                    request=request,
                    state=SweepState.WAITING,
                    by=by,
                    run_id=run_id,
                    created_at=now,
                    changed_at=now,
                    clips=len(plan.jobs),
                    cached=sum(job.key in plan.cached for job in plan.jobs),
                )
            )

    def _go(self, record: SweepRecord) -> None:
        going = Going(record)
        with self._guard:
            if record.id in self._sweeps:
                return
            self._sweeps[record.id] = going
        going.job_id = self._jobs.start("sweep", partial(self._work_on, going))

    def _foreground(self, record: SweepRecord, on_progress: Progress | None) -> list[Clip]:
        going = Going(record)
        self._sweeps[record.id] = going
        return self._work(going, on_progress or _silent)

    def _work_on(self, going: Going, report: Report) -> None:
        self._work(going, report)

    def _work(self, going: Going, report: Progress | Report) -> list[Clip]:
        """Render and screen, and leave on the disk how it ended; a process that ends in between leaves it running."""
        cancelled = report.cancelled if isinstance(report, Report) else lambda: False

        def is_over() -> bool:
            if going.record.is_automatic and going.wish is None and self._queue.waiting():
                going.wish = SweepState.WAITING  # a training never waits for a sweep that nobody asked for
                going.message = WAITS_FOR_RUN
            return going.wish is not None or cancelled()

        state = SweepState.FAILED
        try:
            plan = self.plan_sweep(going.record.request)
            going.begin(plan, self._screening_pace())
            self._note_sweep(going, SweepState.RUNNING)
            clips = self._render(going, plan, report, is_over)
            self._screen_all(going, clips, report, is_over)
            # Told to stop by nobody but the end of this process: it goes on with the next one.
            state = going.wish or (SweepState.RUNNING if cancelled() else SweepState.DONE)
            return clips
        except KeyboardInterrupt:
            state = SweepState.PAUSED
            raise
        except Exception as error:
            if cancelled() and going.wish is None:  # the process ends and took the database away: nothing has failed
                state = SweepState.RUNNING
            else:
                going.record = replace(going.record, error=str(error))
            raise
        finally:
            self._note_sweep(going, state)
            with self._guard:
                self._sweeps.pop(going.record.id, None)

    def _render(
        self, going: Going, plan: sweep.Plan, report: Progress | Report, is_over: Callable[[], bool]
    ) -> list[Clip]:
        clips: dict[str, Clip] = {}

        def tell(message: str) -> None:
            going.message = message
            report(len(clips), 2 * len(plan.jobs), message)

        with closing(self._spoken(plan, tell, is_over, going)) as spoken:
            for clip in spoken:
                if clip.id not in clips:
                    self.store.add_clips([clip])
                    clips[clip.id] = clip
                    going.has(clip, screened=self.is_screened(clip.id))
                    report(len(clips), 2 * len(plan.jobs), "rendering")
                    self._note_now_and_then(going)
        return list(clips.values())

    def _spoken(
        self,
        plan: sweep.Plan,
        tell: Callable[[str], None],
        is_over: Callable[[], bool],
        going: Going | None = None,
    ) -> Generator[Clip]:
        """Each clip: those that lie ready, then model by model what is missing. Where nothing is missing no model is
        loaded. A clip may come twice. `going` is told when speaking begins, and of every batch.
        """

        def give_up() -> None:
            if is_over():
                raise _Stopped

        folder = self.workspace.clips
        yield from sweep.cached(plan, folder)
        for part in (plan.of(backend) for backend in plan.backends):
            if not part.missing:
                continue
            tell("loading the voice")
            with (
                suppress(_Stopped),
                self.host(part.backends[0], what="a sweep", on_wait=tell, give_up=give_up) as host,
            ):
                if going is not None:
                    going.speaks()
                yield from sweep.render(
                    part,
                    host=host,
                    clips=folder,
                    batch_rows=sweep.BATCH_ROWS,
                    cancelled=is_over,
                    spoke=going.spoke if going is not None else None,
                    now=self._clock,
                )

    def _screen_all(
        self, going: Going, clips: Sequence[Clip], report: Progress | Report, is_over: Callable[[], bool]
    ) -> None:
        """The base's clips first: the others are compared with them. The device is free meanwhile."""
        for done, clip in enumerate(sorted(clips, key=lambda c: not c.candidate.is_base), start=1):
            if is_over():
                return
            fresh = not self.is_screened(clip.id)
            with self._lane:  # rendering, screening and speaking take turns
                begun = time.perf_counter()
                self.screen(clip)
            going.screened(clip, time.perf_counter() - begun, fresh=fresh)
            report(len(clips) + done, 2 * len(clips), "listening by measures")
            self._note_now_and_then(going)

    # ---------------------------------------------------------------------------------------------------------- records
    def _sweep_record(self, sweep_id: str) -> SweepRecord:
        return sweep_records.read(self.workspace.sweeps, sweep_id, self.workspace.references)

    def _keep_sweep(self, record: SweepRecord) -> SweepRecord:
        record = replace(record, changed_at=self._clock())
        with self._guard:
            sweep_records.write(self.workspace.sweeps, record)
        return record

    def _note_sweep(self, going: Going, state: SweepState) -> None:
        going.record = self._keep_sweep(replace(going.record, state=state, message=going.message))
        going.noted = time.monotonic()

    def _note_now_and_then(self, going: Going) -> None:
        if time.monotonic() - going.noted > KEEP_SEC:
            self._note_sweep(going, going.record.state)

    def _stop(self, sweep_id: str, wish: SweepState) -> None:
        with self._guard:
            going = self._sweeps.get(sweep_id)
            if going is not None:
                going.wish, going.message = wish, ""
                return
            record = self._sweep_record(sweep_id)
            if record.state is SweepState.DONE:
                raise Refused(f"{sweep_id} is done; there is nothing to stop.")
            self._keep_sweep(replace(record, state=wish, message=""))

    def _view(self, record: SweepRecord) -> SweepView:
        going = self._sweeps.get(record.id)
        if going is not None:
            record = going.record
        return SweepView(
            record=record,
            done=going.done if going else 2 * record.clips if record.state is SweepState.DONE else record.rendered,
            total=2 * record.clips,
            message=going.message if going else record.message,
            left_sec=going.left_sec() if going else None,
        )

    def _screening_pace(self) -> float:
        done = [view for view in sweep_records.listing(self.workspace.sweeps, self.workspace.references)[:20]]
        audio_sec = sum(record.audio_sec for record in done)
        return sum(record.screen_sec for record in done) / audio_sec if audio_sec > 0 else SCREEN_SEC


def _silent(done: int, total: int, message: str) -> None:
    """No progress wanted."""
