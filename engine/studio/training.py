"""Use cases that start and steer runs: queue, start, stop, resume. Trainers are processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from engine import backends, lease
from engine.runs import launcher, making
from engine.runs.scheduler import Scheduler
from engine.studio.planning import Planning
from engine.types import BadInput, Refused, Run, RunConfig
from engine.workspace import Workspace


class Training(Planning):
    """What the Runs page does."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self._scheduler = Scheduler(
            workspace,
            self._queue,
            launch=partial(launcher.launch, clock=clock),
            before=self._make_room,
            clock=clock,
        )
        self._stack.callback(self._scheduler.close)

    def enqueue(self, config: RunConfig, *, start: bool = True) -> Run:
        """Create a run and queue it; it starts at once when its device is free. `start` False: it only waits.

        Raises Refused with the first reason when preflight refuses it.
        """
        self._must_be_startable(config)
        run = making.create(self.workspace.runs, config, now=self._clock(), dataset=self.dataset(config.dataset))
        return self._queued(run.path, start=start)

    def start_run(self, config: RunConfig) -> Run:
        """The same as `enqueue`: a run starts as soon as its device is free."""
        return self.enqueue(config)

    def watch_queue(self) -> None:
        """Start what waits as soon as its device is free, from now until the studio is closed. The app calls this."""
        self._scheduler.start()

    def queue(self) -> list[Run]:
        """The runs that wait, next first. `error` says for whom a run waits: 'Waits for cpu: training robin-1'."""
        return [replace(run, error=self._scheduler.reason(run)) for run in self._queue.waiting()]

    def move_run(self, run_id: str, position: int) -> None:
        """Let a waiting run start as number `position`, 1 being next. Raises Refused for one that does not wait."""
        self._queue.move(self.run(run_id).id, position)

    def cancel_run(self, run_id: str) -> None:
        """Take a waiting run out of the queue; its folder stays. Raises Refused for one that does not wait."""
        self._queue.cancel(self.run(run_id).id)

    def stop_run(self, run_id: str, *, force: bool = False) -> None:
        """Ask a run to save and end at its next step; `force` kills it, losing the steps since its last checkpoint.

        A run that waits is taken out of the queue.
        """
        with self._queue.guard:
            launcher.stop(self._run_folder(run_id), force=force)

    def resume_run(self, run_id: str) -> Run:
        """Go on from the last checkpoint, exactly; waits in the queue while the device is in use."""
        return self._queued(self._run_folder(run_id))

    def _queued(self, run_dir: Path, *, start: bool = True) -> Run:
        self._queue.add(run_dir)
        if start:
            self._scheduler.tick()
            self._scheduler.start()
        return self.run(run_dir.name)

    def _must_be_startable(self, config: RunConfig) -> None:
        info = backends.info(config.backend, config.base_model)
        if config.voice and not info.has_voice(config.voice):
            raise BadInput(f"{config.backend} has no base voice {config.voice!r}; it has: {', '.join(info.voices)}.")
        if refusals := self.preflight(config).refusals:
            raise Refused(refusals[0].text)

    def _make_room(self, run: Run) -> None:
        """A GPU's memory is let go before a training needs it."""
        if any(name.startswith("cuda") for name in lease.devices(run.config)):
            self.unload()
