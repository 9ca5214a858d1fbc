"""Use cases about data: audit a manifest, prepare a dataset from it, list what is prepared, make the demo voice."""

from __future__ import annotations

from pathlib import Path

from engine import audit, backends, dataset, manifest, needs
from engine.studio.core import Core
from engine.types import AuditReport, Dataset, NotFound


class DataDesk(Core):
    """What the Data page does."""

    def backends(self) -> list[str]:
        """The names of the models that can be fine-tuned."""
        return sorted(backends.BACKENDS)

    def base_voices(self, backend: str = "finch") -> tuple[str, ...]:
        """The voices that a backend speaks with before any training."""
        return backends.info(backend).voices

    def audit(self, path: Path, *, backend: str = "finch") -> AuditReport:
        """Look at every row of a manifest without changing anything."""
        return audit.audit(manifest.read(path), needs.of(backend))

    def prepare(self, path: Path, *, backend: str = "finch", name: str = "") -> Dataset:
        """Audit, leave out the rows with errors, and write a split dataset at the voice's rate into the workspace."""
        report = self.audit(path, backend=backend)
        return dataset.prepare(
            report,
            root=self.workspace.datasets,
            backend=backend,
            sample_rate=backends.info(backend).sample_rate,
            now=self._clock(),
            name=name,
        )

    def datasets(self) -> list[Dataset]:
        """The prepared datasets, newest first."""
        return dataset.listing(self.workspace.datasets)

    def dataset(self, dataset_id: str) -> Dataset:
        """One prepared dataset. Raises NotFound with the known names."""
        known = {d.id: d for d in self.datasets()}
        if dataset_id not in known:
            raise NotFound(f"There is no dataset {dataset_id!r}; prepared are: {', '.join(known) or 'none yet'}.")
        return known[dataset_id]

    def make_demo_data(self, minutes: float = 5.0) -> Path:
        """Make the demo voice (once) and return its manifest; a second manifest beside it holds faults to find."""
        from engine.backends.finch.pretrain import demo_data

        folder = self.workspace.root / "demo"
        done = folder / f"{minutes:g}min"
        if not (done / "manifest.jsonl").exists():
            demo_data.make(done, minutes=minutes, seed=0)
        return done / "manifest.jsonl"
