"""Where things lie in a workspace. Knows names of files and folders; creates only the folders it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """A folder that holds one team's database, runs, clips and exports."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "evaluations.duckdb"

    @property
    def lock(self) -> Path:
        return self.root / "earmark.lock"

    @property
    def datasets(self) -> Path:
        return self.root / "datasets"

    @property
    def drafts(self) -> Path:
        return self.root / "drafts"

    @property
    def features(self) -> Path:
        return self.root / "features"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def clips(self) -> Path:
        return self.root / "clips"

    @property
    def exports(self) -> Path:
        return self.root / "exports"

    @property
    def leases(self) -> Path:
        """A lock file for each device."""
        return self.root / "leases"

    @property
    def queue(self) -> Path:
        """The order of the runs that wait."""
        return self.root / "queue.json"

    @property
    def trash(self) -> Path:
        return self.root / "trash"

    def create(self) -> None:
        """Make the folders that are missing."""
        for folder in (self.datasets, self.drafts, self.features, self.runs, self.clips, self.exports, self.trash):
            folder.mkdir(parents=True, exist_ok=True)
