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
        """`engine.store` alone opens it."""
        return self.root / "evaluations.duckdb"

    @property
    def lock(self) -> Path:
        """Held by the one process that has the workspace."""
        return self.root / "earmark.lock"

    @property
    def datasets(self) -> Path:
        """What was prepared to train on, a folder each."""
        return self.root / "datasets"

    @property
    def drafts(self) -> Path:
        """Datasets on the desk, a folder each."""
        return self.root / "drafts"

    @property
    def features(self) -> Path:
        """What models computed of recordings once, by content."""
        return self.root / "features"

    @property
    def runs(self) -> Path:
        """A folder a run; see `engine.runs.folder`."""
        return self.root / "runs"

    @property
    def clips(self) -> Path:
        """Rendered audio, by content."""
        return self.root / "clips"

    @property
    def references(self) -> Path:
        """Audio prompts, by content."""
        return self.root / "references"

    @property
    def scripts(self) -> Path:
        """Listening scripts that were made from the shipped ones."""
        return self.root / "scripts"

    @property
    def sweeps(self) -> Path:
        """What was asked for, and how far it is."""
        return self.root / "sweeps"

    @property
    def voices(self) -> Path:
        """Environments of voices that need their own."""
        return self.root / "voices"

    @property
    def exports(self) -> Path:
        """Promoted voices as bundles."""
        return self.root / "exports"

    @property
    def gates(self) -> Path:
        """The workspace's own gates; shipped ones lie elsewhere."""
        return self.root / "gates"

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
        """Checkpoints that were moved away and are not purged yet."""
        return self.root / "trash"

    def create(self) -> None:
        """Make the folders that are missing."""
        made = (self.datasets, self.drafts, self.features, self.runs, self.clips, self.exports, self.trash)
        for folder in (*made, self.references, self.scripts, self.sweeps):
            folder.mkdir(parents=True, exist_ok=True)
