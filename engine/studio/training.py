"""Use cases about runs: start, watch, stop, resume, and their checkpoints. Disk is the truth; nothing is cached."""

from __future__ import annotations

import time
from pathlib import Path

from engine import backends, checkpoints, presets, runs
from engine.runs import Series
from engine.studio.data_desk import DataDesk
from engine.types import BadInput, Busy, Checkpoint, Event, NotFound, Run, RunConfig

LOG_TAIL_BYTES = 20_000


class Training(DataDesk):
    """What the Runs page does."""

    def default_config(self, backend: str = "finch") -> RunConfig:
        """The preset that a form starts from."""
        return presets.default(backend)

    def start_run(self, config: RunConfig) -> Run:
        """Create the run's folder and start its trainer, a process of its own that outlives this one."""
        prepared = self.dataset(config.dataset)
        voices = backends.info(config.backend).voices
        if config.voice and config.voice not in voices:
            raise BadInput(f"{config.backend} has no base voice {config.voice!r}; it has: {', '.join(voices)}.")
        busy = [r.id for r in self.runs() if not r.state.is_over]
        if busy:
            raise Busy(f"{busy[0]} is training on this machine; stop it or wait until it is done.")
        run = runs.create(self.workspace.runs, config, now=self._clock(), dataset=prepared)
        runs.launch(run.path)
        return self.run(run.id)

    def runs(self) -> list[Run]:
        """All runs of the workspace, newest first."""
        return runs.listing(self.workspace.runs)

    def run(self, run_id: str) -> Run:
        """One run as its folder tells it now."""
        return runs.get(self._run_folder(run_id))

    def wait_run(self, run_id: str, *, timeout_sec: float, poll_sec: float = 0.2) -> Run:
        """Wait until a run is over; raises Busy when it is not within the time."""
        end = time.monotonic() + timeout_sec
        while not (run := self.run(run_id)).state.is_over:
            if time.monotonic() > end:
                raise Busy(f"{run_id} is still {run.state} after {timeout_sec:g} s; it goes on by itself.")
            time.sleep(poll_sec)
        return run

    def series(self, run_id: str) -> Series:
        """The curves of a run."""
        return runs.series(self._run_folder(run_id))

    def events(self, run_id: str, after_seq: int = -1) -> list[Event]:
        """What a run told since an event."""
        return runs.events(self._run_folder(run_id), after_seq)

    def log_tail(self, run_id: str) -> str:
        """The end of the trainer's own output, for the failure card."""
        log = self._run_folder(run_id) / "train.log"
        if not log.exists():
            return ""
        return log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", errors="replace")

    def stop_run(self, run_id: str, *, force: bool = False) -> None:
        """Ask a run to save and end at its next step; `force` kills it, losing the steps since its last checkpoint."""
        runs.stop(self._run_folder(run_id), force=force)

    def resume_run(self, run_id: str) -> Run:
        """Go on from the last checkpoint, exactly."""
        runs.resume(self._run_folder(run_id))
        return self.run(run_id)

    def checkpoints(self, run_id: str | None = None) -> list[Checkpoint]:
        """The complete checkpoints of one run or of all, by run and step."""
        folders = [self._run_folder(run_id)] if run_id else [r.path for r in self.runs()]
        return [c for folder in folders for c in checkpoints.listing(folder)]

    def checkpoint(self, checkpoint_id: str) -> Checkpoint:
        """One checkpoint. Raises NotFound when it is not on disk, saying where it may be."""
        run_id = checkpoint_id.partition("@")[0]
        for found in self.checkpoints(run_id):
            if found.id == checkpoint_id:
                return found
        raise NotFound(f"There is no checkpoint {checkpoint_id!r}; it may be in the trash (Gate page, undo).")

    def _run_folder(self, run_id: str) -> Path:
        folder = self.workspace.runs / run_id
        if not run_id or Path(run_id).name != run_id or not (folder / "run.json").exists():
            known = ", ".join(sorted(p.name for p in self.workspace.runs.iterdir())) or "none yet"
            raise NotFound(f"There is no run {run_id!r}; there are: {known}.")
        return folder
