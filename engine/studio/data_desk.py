"""Use cases about data: audit a manifest, prepare a dataset from it, list what is prepared, make the demo voice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine import audit, backends, dataset, manifest, needs
from engine.studio.core import Core
from engine.needs import Needs
from engine.types import Action, AuditReport, Dataset, Decision, Draft, NotFound, PrepareSettings


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

    # The following are being filled in; their names and arguments stay.
    def targets(self) -> tuple[Needs, ...]:
        """Every backend that data can be cleaned for, those that are trained here first."""
        return tuple(needs.of(name) for name in needs.names())

    def open_source(self, path: Path, *, backend: str, name: str = "") -> Draft:
        """Read the rows of a path on this machine and keep them as a draft."""
        raise NotImplementedError

    def open_upload(self, files: Sequence[Path], *, backend: str, name: str = "") -> Draft:
        """A draft of uploaded files: recordings with texts, a manifest with its audio, or one archive."""
        raise NotImplementedError

    def start_slicing(
        self, recordings: Sequence[Path], *, backend: str, name: str = "", min_sec: float = 3.0, max_sec: float = 12.0
    ) -> str:
        """Cut long recordings at their pauses; the job's result is a draft's id."""
        raise NotImplementedError

    def drafts(self) -> list[Draft]:
        """The drafts, newest first."""
        raise NotImplementedError

    def draft(self, draft_id: str) -> Draft:
        """One draft. Raises NotFound."""
        raise NotImplementedError

    def discard_draft(self, draft_id: str) -> None:
        """Remove a draft with its uploads and slices; the source stays."""
        raise NotImplementedError

    def start_audit(self, draft_id: str) -> str:
        """Audit a draft; the job's result is the draft's id."""
        raise NotImplementedError

    def job_result(self, job_id: str) -> str:
        """What a finished job made. Raises NotFound before that."""
        raise NotImplementedError

    def report(self, draft_id: str) -> AuditReport:
        """The rows with the decisions' texts applied, and what the audit found; no findings before it."""
        raise NotImplementedError

    def decide(self, draft_id: str, rows: Sequence[str], action: Action, *, text: str = "", by: str = "") -> None:
        """Decide something of rows. Raises NotFound for an unknown row, Refused for KEEP without a name."""
        raise NotImplementedError

    def take_back(self, draft_id: str, rows: Sequence[str]) -> None:
        """Forget the decisions of rows."""
        raise NotImplementedError

    def decisions(self, draft_id: str) -> dict[str, tuple[Decision, ...]]:
        """The decisions in force, by row."""
        raise NotImplementedError

    def row_samples_path(self, draft_id: str, row: str) -> Path:
        """The audio file of one of the draft's rows."""
        raise NotImplementedError

    def start_transcribing(self, draft_id: str, rows: Sequence[str]) -> str:
        """Write down what rows say, by Whisper. Raises Refused when no folder of it is configured."""
        raise NotImplementedError

    def start_prepare(self, draft_id: str, settings: PrepareSettings, *, name: str = "") -> str:
        """Write the prepared dataset; the job's result is its id."""
        raise NotImplementedError

    def default_settings(self, backend: str) -> PrepareSettings:
        """How data is prepared for a backend unless somebody says otherwise."""
        found = needs.of(backend)
        return PrepareSettings(
            backend=backend, append_silence_sec=found.append_silence_sec, loudness_lufs=found.loudness_lufs
        )

    def export_rows(self, dataset_id: str, format: str, out: Path) -> Path:
        """A dataset's rows in the JSONL of an upstream trainer."""
        raise NotImplementedError

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
