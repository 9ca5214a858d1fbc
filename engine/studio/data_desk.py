"""Use cases about data: what backends need, prepare a dataset and export it, list what is prepared, the demo voice.

What comes before, on the desk, is in `draft_sources` and `drafting`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine import backends, dataset, drafts, durable, manifest, needs, scripts, slicing, upstream_formats
from engine.dataset import repairs
from engine.jobs import Report
from engine.needs import Needs
from engine.studio.drafting import Drafting
from engine.studio.job_results import going_on
from engine.types import AuditReport, BadInput, Dataset, NotFound, PrepareSettings, Refused, Script, Utterance

Progress = Callable[[int, int, str], None]
MOST_HELD_OUT = 0.5  # validation and test together
MOST_SILENCE_SEC = 10.0
LOUDEST_LUFS, QUIETEST_LUFS = -9.0, -40.0


class DataDesk(Drafting):
    """What the Data page does."""

    def backends(self) -> list[str]:
        """The names of the models that can be fine-tuned."""
        return list(backends.names())

    def base_voices(self, backend: str = "finch") -> tuple[str, ...]:
        """The voices that a backend speaks with before any training."""
        return backends.info(backend).voices

    def targets(self) -> tuple[Needs, ...]:
        """Every backend that data can be cleaned for, those that are trained here first."""
        return tuple(needs.of(name) for name in needs.names())

    def default_settings(self, backend: str) -> PrepareSettings:
        """How data is prepared for a backend unless somebody says otherwise."""
        found = needs.of(backend)
        return PrepareSettings(
            backend=backend, append_silence_sec=found.append_silence_sec, loudness_lufs=found.loudness_lufs
        )

    def planned(self, draft_id: str, settings: PrepareSettings) -> repairs.Plan:
        """What preparing a draft would do to each row as it is decided now; nothing is written."""
        folder = self._draft_folder(draft_id)
        return repairs.plan(
            self._as_audited(draft_id),
            settings,
            needs.of(settings.backend),
            decisions=self.decisions(draft_id),
            held_back=repairs.listening_lines(_listening_scripts(self.workspace.scripts)),
            originals=drafts.original_texts(folder),
        )

    def start_prepare(self, draft_id: str, settings: PrepareSettings, *, name: str = "") -> str:
        """Write the prepared dataset; the job's result is its id. Raises Refused for a draft that was not audited."""
        folder, draft = self._draft_folder(draft_id), self.draft(draft_id)
        if not draft.audited:
            raise Refused(f"{draft.name} was not audited yet; audit it first, so that faulty rows are known.")
        if settings.backend != draft.backend:
            raise Refused(f"{draft.name} was audited for {draft.backend}; open it again for {settings.backend}.")
        checked = _checked(settings)

        def work(report: Report) -> str:
            made = dataset.prepare(
                drafts.report(folder),
                checked,
                needs.of(settings.backend),
                root=self.workspace.datasets,
                now=self._clock(),
                name=name or draft.name,
                decisions={row: tuple(made.values()) for row, made in drafts.decisions(folder).items()},
                scripts=_listening_scripts(self.workspace.scripts),
                originals=drafts.original_texts(folder),
                on_progress=going_on(report),
            )
            return made.id

        return self._start("prepare", work)

    # -------------------------------------------------------------------------------------------------- without a draft
    def audit(
        self,
        path: Path,
        *,
        backend: str = "finch",
        listen: bool = True,
        on_progress: Progress | None = None,
    ) -> AuditReport:
        """Look at every row of a source without changing anything; `listen` holds texts against the audio as well."""
        with self._read(path) as rows:
            return self._audited(rows, backend, listen, on_progress)

    def prepare(
        self,
        path: Path,
        *,
        backend: str = "finch",
        settings: PrepareSettings | None = None,
        out: Path | None = None,
        name: str = "",
        listen: bool = True,
        on_progress: Progress | None = None,
    ) -> Dataset:
        """Audit, repair as the audit proposes, and write a split dataset into the workspace or into `out`."""
        wanted = _checked(settings or self.default_settings(backend))
        if out is not None and path.is_dir() and out.absolute().is_relative_to(path.absolute()):
            raise BadInput(f"{out} lies inside the source {path}, which stays as it is; name a folder elsewhere.")
        with self._read(path) as rows:
            return dataset.prepare(
                self._audited(rows, wanted.backend, listen, on_progress),
                wanted,
                needs.of(wanted.backend),
                root=self.workspace.datasets,
                out=out,
                now=self._clock(),
                name=name,
                scripts=_listening_scripts(self.workspace.scripts),
                on_progress=on_progress,
            )

    def slice_recording(
        self, recording: Path, out: Path, *, min_sec: float, max_sec: float, on_progress: Progress | None = None
    ) -> tuple[tuple[Utterance, ...], tuple[str, ...]]:
        """Cut a recording into the new folder `out` with a manifest; returns its rows and what was noticed.

        Texts are written down where a Whisper folder is configured. Raises BadInput when `out` holds something.
        """
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise BadInput(f"{out} already holds something; name a new folder for the pieces.")
        place = out.absolute().parent
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=place) as building:
            folder = Path(building) / "pieces"
            sliced = slicing.slice_recording(
                recording, folder / "audio", min_sec=min_sec, max_sec=max_sec, on_progress=on_progress
            )
            rows = tuple(self._written_down(sliced.utterances, on_progress))
            manifest.write(folder / "manifest.jsonl", rows)
            durable.rename(folder, out.absolute())
        return rows, sliced.notes

    # --------------------------------------------------------------------------------------------------------- datasets
    def datasets(self) -> list[Dataset]:
        """The prepared datasets, newest first."""
        return dataset.listing(self.workspace.datasets)

    def dataset(self, dataset_id: str) -> Dataset:
        """One prepared dataset. Raises NotFound with the known names."""
        known = {d.id: d for d in self.datasets()}
        if dataset_id not in known:
            raise NotFound(f"There is no dataset {dataset_id!r}; prepared are: {', '.join(known) or 'none yet'}.")
        return known[dataset_id]

    def export_rows(self, dataset_id: str, format: str, out: Path) -> Path:
        """Write a dataset's rows as another trainer wants them; returns the file or folder with the training rows."""
        return self.export_dataset(self.dataset(dataset_id), format, out).path

    def export_dataset(self, source: Dataset, format: str, out: Path) -> upstream_formats.Export:
        """The same for any prepared dataset, with what was made up and where the other splits are."""
        return upstream_formats.write(out, dataset.utterances(source), format)

    def make_demo_data(self, minutes: float = 5.0) -> Path:
        """Make the demo voice (once) and return its manifest; a second manifest beside it holds faults to find."""
        from engine.backends.finch.pretrain import demo_data

        folder = self.workspace.root / "demo"
        done = folder / f"{minutes:g}min"
        if not (done / "manifest.jsonl").exists():
            demo_data.make(done, minutes=minutes, seed=0)
        return done / "manifest.jsonl"


def _listening_scripts(edited: Path) -> tuple[Script, ...]:
    """Every line that may be listened to: none of them is trained on."""
    return (*(scripts.load(name) for name in scripts.names()), *scripts.versions(edited))


def _checked(settings: PrepareSettings) -> PrepareSettings:
    """Settings within their bounds, with numbers as numbers with a point: 1 and 1.0 are one setting."""
    shares = (settings.validation_share, settings.test_share)
    if not all(share >= 0 for share in shares) or not sum(shares) <= MOST_HELD_OUT:
        raise BadInput(f"Validation and test should be 0 to {MOST_HELD_OUT:g} together, they are {sum(shares):g}.")
    if not 0 <= settings.append_silence_sec <= MOST_SILENCE_SEC:
        raise BadInput(
            f"The silence at the end should be 0 to {MOST_SILENCE_SEC:g} s, it is {settings.append_silence_sec:g}."
        )
    level = settings.loudness_lufs
    if level is not None and not QUIETEST_LUFS <= level <= LOUDEST_LUFS:
        raise BadInput(f"The loudness should be {QUIETEST_LUFS:g} to {LOUDEST_LUFS:g} LUFS, it is {level:g}.")
    return replace(
        settings,
        append_silence_sec=float(settings.append_silence_sec),
        loudness_lufs=None if level is None else float(level),
        validation_share=float(shares[0]),
        test_share=float(shares[1]),
    )
