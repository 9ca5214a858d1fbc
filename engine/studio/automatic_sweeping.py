"""Use cases about sweeps that nobody has to ask for: every new checkpoint of a run, and what an earlier process left.

A thread of the app. It waits for its device like everything else, and lets a training that waits go first.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from engine import device, lease, sweep, sweep_records
from engine.studio.sweeping import Sweeping
from engine.sweep_records import AUTOMATIC, AutomaticSweep, SweepState
from engine.types import BadInput, EngineError, NotFound
from engine.workspace import Workspace

log = logging.getLogger(__name__)

POLL_SEC = 2.0


class AutomaticSweeping(Sweeping):
    """What sweeps new checkpoints."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None
        self._stack.callback(self._stop_watching)

    def sweep_new_checkpoints(self, setting: AutomaticSweep) -> None:
        """Sweep every checkpoint that a run writes from now on, when its device is free and no training waits for it.

        Raises NotFound or BadInput now for what could not be swept later.
        """
        self.run(setting.run_id)
        script = self.script(setting.script)
        if not setting.seeds or not any(setting.scales):
            raise BadInput("Sweeping new checkpoints needs at least one scale above 0 and one seed.")
        _check_references(setting, {each.reference.sha256 for each in self.references()})
        if setting.tiers is not None and not {line.tier for line in script.lines} & set(setting.tiers):
            raise BadInput(f"The script {setting.script} has no line of these tiers.")
        there = tuple(checkpoint.id for checkpoint in self.checkpoints(setting.run_id))
        with self._guard:
            sweep_records.keep_automatic(self.workspace.sweeps, sweep_records.with_handled(setting, there))

    def stop_sweeping_new(self, run_id: str) -> None:
        """Leave a run's new checkpoints alone again."""
        with self._guard:
            sweep_records.drop_automatic(self.workspace.sweeps, run_id)

    def automatic_sweeps(self) -> list[AutomaticSweep]:
        """The runs whose new checkpoints are swept by themselves."""
        return sweep_records.automatic(self.workspace.sweeps)

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
        try:
            new = [c.id for c in self.checkpoints(setting.run_id) if c.id not in setting.handled]
            if not new:
                return
            request = sweep.Request(
                candidates=tuple(self.candidates(new, setting.scales)),
                script=self.script(setting.script),
                seeds=setting.seeds,
                settings=setting.settings,
                tiers=setting.tiers,
                references=tuple(None if key is None else self.reference(key) for key in setting.references),
            )
            self._new_sweep(request, by=AUTOMATIC, run_id=setting.run_id)
        except EngineError as error:  # a run that was removed, a script that cannot be spoken: said once, not each poll
            log.warning("the new checkpoints of %s are not swept: %s", setting.run_id, error)
            new = []
            sweep_records.drop_automatic(self.workspace.sweeps, setting.run_id)
            return
        sweep_records.keep_automatic(self.workspace.sweeps, sweep_records.with_handled(setting, tuple(new)))

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


def _check_references(setting: AutomaticSweep, known: set[str]) -> None:
    for key in setting.references:
        if key is not None and key not in known:
            raise NotFound(f"There is no reference {key[:12]!r} in this workspace.")
