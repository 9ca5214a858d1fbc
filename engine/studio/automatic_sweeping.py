"""Use cases about sweeps that nobody has to ask for: every new checkpoint of a run, and what an earlier process left.

A thread of the app. It waits for its device like everything else, and lets a training that waits go first. What a gate
names as its control is rendered with the first of them and lies ready for the others.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from engine import backends, device, lease, pace, segmentation, sweep, sweep_records
from engine.studio.gate_controls import GateControls
from engine.sweep_records import AUTOMATIC, AutomaticSweep, SweepState
from engine.types import BadInput, Candidate, EngineError, Line, NotFound, Run, RunConfig
from engine.workspace import Workspace

log = logging.getLogger(__name__)

POLL_SEC = 2.0


@dataclass(frozen=True, kw_only=True)
class EachCheckpoint:
    """What sweeping one new checkpoint is expected to be: its lines, its clips, their seconds of audio, and the seconds
    and bytes that it takes here. Without the base and other controls, which are rendered once.
    """

    lines: tuple[Line, ...]
    clips: int
    audio_sec: float
    render_sec: float
    screen_sec: float
    bytes: int


class AutomaticSweeping(GateControls):
    """What sweeps new checkpoints."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None
        self._stack.callback(self._stop_watching)

    # ---------------------------------------------------------------------------------------------------------- asking
    def enqueue(self, config: RunConfig, *, start: bool = True, swept: AutomaticSweep | None = None) -> Run:
        """Create a run and queue it; it starts at once when its device is free. `start` False: it only waits. With
        `swept` its checkpoints are swept as they come; the run that it names is the new one.

        Raises Refused with the first reason when preflight refuses it, and for `swept` as `sweep_new_checkpoints` does:
        then no run is made.
        """
        if swept is not None:
            self._must_be_sweepable(swept, config)
        run = super().enqueue(config, start=start)
        if swept is not None:
            self._keep(replace(swept, run_id=run.id))
        return run

    def enqueue_rates(
        self,
        config: RunConfig,
        other_rates: Sequence[float],
        *,
        start: bool = True,
        swept: AutomaticSweep | None = None,
    ) -> list[Run]:
        """Queue a run as `enqueue` does, and the same run once more for each of some other learning rates, whose number
        is added to the names. Raises BadInput for a rate that is there twice; nothing is queued where one is refused.
        """
        rates = (config.learning_rate, *other_rates)
        if len(set(rates)) < len(rates):
            raise BadInput(f"Learning rates to compare should differ: {', '.join(f'{rate:g}' for rate in rates)}.")
        configs = [replace(config, learning_rate=rate, name=f"{config.name}-{rate:g}".strip("-")) for rate in rates]
        for one in configs:
            self._must_be_startable(one)
        return [self.enqueue(one, start=start, swept=swept) for one in configs]

    def sweep_new_checkpoints(self, setting: AutomaticSweep) -> None:
        """Sweep every checkpoint that a run writes from now on, when its device is free and no training waits for it.

        Raises NotFound or BadInput now for what could not be swept later.
        """
        self._must_be_sweepable(setting, self.run(setting.run_id).config)
        there = tuple(checkpoint.id for checkpoint in self.checkpoints(setting.run_id))
        self._keep(sweep_records.with_handled(setting, there))

    def stop_sweeping_new(self, run_id: str) -> None:
        """Leave a run's new checkpoints alone again."""
        with self._guard:
            sweep_records.drop_automatic(self.workspace.sweeps, run_id)

    def automatic_sweeps(self) -> list[AutomaticSweep]:
        """The runs whose new checkpoints are swept by themselves."""
        return sweep_records.automatic(self.workspace.sweeps)

    def each_checkpoint(self, setting: AutomaticSweep, backend: str) -> EachCheckpoint:
        """What sweeping one new checkpoint of a voice would be. Raises NotFound for a script that is not there."""
        lines = _lines(setting, self.script(setting.script).lines)
        prompts = 1 if backends.info(backend).reference == "none" else len(setting.references)
        takes = len({scale for scale in setting.scales if scale}) * len(set(setting.seeds)) * prompts
        here = pace.learnt(self.store.clips()).get(backend, pace.Pace())
        hoped_sec = sum(pace.expected_sec(line.text, len(segmentation.split(line.text))) for line in lines)
        audio_sec = takes * hoped_sec * here.audio_sec
        return EachCheckpoint(
            lines=lines,
            clips=takes * len(lines),
            audio_sec=audio_sec,
            render_sec=audio_sec * here.render_sec,
            screen_sec=audio_sec * self._screening_pace(),
            bytes=round(audio_sec * here.bytes),
        )

    # ----------------------------------------------------------------------------------------------------------- doing
    def watch_sweeps(self) -> None:
        """Go on with what an earlier process left, and sweep new checkpoints, until the studio is closed."""
        with self._guard:
            if self._watcher is None and not self._closing.is_set():
                self._watcher = threading.Thread(target=self._watch, name="sweeps", daemon=True)
                self._watcher.start()

    def due_sweeps(self) -> list[str]:
        """Ask for a sweep of the new checkpoints of every run that has a setting; returns the ids of all automatic
        sweeps that wait, the oldest first.
        """
        with self._guard:
            for setting in self.automatic_sweeps():
                self._ask_for_new(setting)
            waiting = [view.record for view in self.sweeps() if view.record.state is SweepState.WAITING]
            return [record.id for record in reversed(waiting) if record.is_automatic]

    def _ask_for_new(self, setting: AutomaticSweep) -> None:
        """What stands against it is kept with the setting; once that is mended, they are swept after all."""
        if not (self.workspace.runs / setting.run_id).is_dir():
            sweep_records.drop_automatic(self.workspace.sweeps, setting.run_id)
            return
        new: tuple[str, ...] = ()
        try:
            new = tuple(c.id for c in self.checkpoints(setting.run_id) if c.id not in setting.handled)
            if not new:
                return
            candidates = tuple(self.candidates(new, setting.scales))
            request, trouble = self._with_controls(self._request(setting, candidates), setting)
            self._new_sweep(request, by=AUTOMATIC, run_id=setting.run_id)
        except EngineError as error:  # a script that was removed, a voice that is not installed any more
            new, trouble = (), f"The new checkpoints are not swept: {error}"
        if trouble and trouble != setting.trouble:  # said once, not each poll
            log.warning("%s: %s", setting.run_id, trouble)
        now = sweep_records.with_handled(replace(setting, trouble=trouble), new)
        if now != setting:
            self._keep(now)

    def _with_controls(self, request: sweep.Request, setting: AutomaticSweep) -> tuple[sweep.Request, str]:
        """The request with what candidates are heard beside. What cannot be rendered is left out, and said: the new
        checkpoint does not wait for it.
        """
        self.plan_sweep(request)
        missed = []
        for add in self._additions(setting):
            try:
                wider = add(request)
                self.plan_sweep(wider)
            except EngineError as error:
                missed.append(f"Swept without a control: {error}")
            else:
                request = wider
        return request, " ".join(missed)

    def _additions(self, setting: AutomaticSweep) -> list[Callable[[sweep.Request], sweep.Request]]:
        bases = [partial(_beside, base=base) for base in setting.controls]
        return [*bases, *(partial(self.with_control, gate=gate) for gate in setting.gates)]

    def _request(self, setting: AutomaticSweep, candidates: tuple[Candidate, ...]) -> sweep.Request:
        return sweep.Request(
            candidates=candidates,
            script=self.script(setting.script),
            seeds=setting.seeds,
            settings=setting.settings,
            tiers=setting.tiers,
            references=tuple(None if key is None else self.reference(key) for key in setting.references),
        )

    def _must_be_sweepable(self, setting: AutomaticSweep, config: RunConfig) -> None:
        """Asks for the base of the run's voice with all controls, as a sweep would."""
        if not setting.seeds or not any(setting.scales):
            raise BadInput("Sweeping new checkpoints needs at least one scale above 0 and one seed.")
        if not _lines(setting, self.script(setting.script).lines):
            raise BadInput(f"The script {setting.script} has no line of these tiers.")
        _check_references(setting, {each.reference.sha256 for each in self.references()})
        voice = config.voice or next(iter(backends.info(config.backend).voices), "")
        request = self._request(setting, (Candidate(backend=config.backend, voice=voice),))
        for add in self._additions(setting):
            request = add(request)
        self.plan_sweep(request)

    def _keep(self, setting: AutomaticSweep) -> None:
        with self._guard:
            sweep_records.keep_automatic(self.workspace.sweeps, setting)

    # -------------------------------------------------------------------------------------------------------- watching
    def _watch(self) -> None:
        self._take_over()
        while not self._closing.is_set():
            try:
                waiting = self.due_sweeps()
                if waiting and not self._sweeps and self._device_is_free():
                    self._go(self._sweep_record(waiting[0]))
            except Exception:  # a full disk, a folder that vanished: looked at again, never given up
                log.exception("the sweeps could not be looked at")
            self._closing.wait(POLL_SEC)

    def _take_over(self) -> None:
        """What an earlier process was rendering, or was about to, goes on."""
        for view in reversed(self.sweeps()):
            record = view.record
            if record.id not in self._sweeps and record.state in (SweepState.WAITING, SweepState.RUNNING):
                record = self._keep_sweep(replace(record, state=SweepState.WAITING))
                if not record.is_automatic:
                    self._go(record)

    def _device_is_free(self) -> bool:
        return not self._queue.waiting() and not lease.holder(self.workspace, device.resolve(self._device))

    def _stop_watching(self) -> None:
        self._closing.set()
        if self._watcher is not None:
            self._watcher.join()


def _beside(request: sweep.Request, base: Candidate) -> sweep.Request:
    return replace(request, candidates=tuple(dict.fromkeys((*request.candidates, base))))


def _lines(setting: AutomaticSweep, lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(line for line in lines if setting.tiers is None or line.tier in setting.tiers)


def _check_references(setting: AutomaticSweep, known: set[str]) -> None:
    for key in setting.references:
        if key is not None and key not in known:
            raise NotFound(f"There is no reference {key[:12]!r} in this workspace.")
