"""Names inside a run's folder.

The files are the interface between a trainer and everybody else; who writes which is said here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """`path` is `runs/<id>`."""

    path: Path

    @property
    def record(self) -> Path:
        """Config, dataset, code: written once when the run is created, then read-only."""
        return self.path / "run.json"

    @property
    def lock(self) -> Path:
        """Held by the trainer as long as it lives."""
        return self.path / "run.lock"

    @property
    def events(self) -> Path:
        """Appended by the trainer."""
        return self.path / "events.jsonl"

    @property
    def status(self) -> Path:
        """Replaced by the trainer: the events folded up to an offset. A short cut that may be removed at any time."""
        return self.path / "status.json"

    @property
    def log(self) -> Path:
        """The trainer's own output."""
        return self.path / "train.log"

    @property
    def stop_flag(self) -> Path:
        """Made by whoever wants the trainer to save and end; removed by the launcher."""
        return self.path / "control" / "stop"

    @property
    def queued(self) -> Path:
        """Written by the queue: when, and after which event. Means nothing any more once the trainer has spoken."""
        return self.path / "control" / "queued.json"

    @property
    def launched(self) -> Path:
        """Written by the launcher: when, after which event, and how many launches before it came to nothing."""
        return self.path / "control" / "launched.json"

    @property
    def exited(self) -> Path:
        """Written by the launcher, if it lives that long, when the process that it started is gone."""
        return self.path / "control" / "exited.json"

    @property
    def checkpoints(self) -> Path:
        """Folders that the trainer publishes by rename."""
        return self.path / "checkpoints"

    @property
    def states(self) -> Path:
        """Folders that the trainer publishes beside its last checkpoints: what only a resume needs."""
        return self.path / "state"
