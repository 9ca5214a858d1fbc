"""Use cases about drafts: import a dataset, cut a recording, audit, decide row by row, write down what is said.

What is on the desk survives a restart: everything lies in the draft's folder. Jobs tell their progress row by row.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine import audio, audit, disk, drafts, manifest, needs, readers, slicing
from engine.jobs import Report
from engine.readers import archive
from engine.studio.environments_desk import EnvironmentsDesk
from engine.types import (
    Action,
    AuditReport,
    BadInput,
    Decision,
    Draft,
    Manifest,
    NotFound,
    Refused,
    Utterance,
)
from engine.workspace import Workspace

if TYPE_CHECKING:
    from engine.audit.recogniser import Recogniser
    from engine.whisper import Whisper

UPLOAD_BYTES, UPLOAD_FILES = 20 * 2**30, 200_000  # that one upload may have, unpacked
BYTES_A_SAMPLE = 3  # of a slice, before FLAC makes it smaller
TRANSCRIBER = "Whisper"
NO_WHISPER = (
    "No Whisper folder is configured: start Earmark with --whisper FOLDER (a model in safetensors), or type the texts."
)


class _Held(NamedTuple):
    """A draft as it was read last, without and with its decided texts; `state` tells whether the files changed."""

    state: tuple[int, ...]
    found: AuditReport
    report: AuditReport


class _Stopped(Exception):
    """A job was cancelled in the middle."""


class Drafting(EnvironmentsDesk):
    """What the Data page does with a dataset until it is prepared."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self.whisper_folder: Path | None = None
        self.upload_bytes, self.upload_files = UPLOAD_BYTES, UPLOAD_FILES
        self._whisper: Whisper | None = None
        self._made: dict[str, dict[str, str]] = {}  # what each job made, under "id" once it is done
        self._reports: dict[str, _Held] = {}
        drafts.sweep(workspace.drafts)

    # ------------------------------------------------------------------------------------------------------- importing
    def open_source(self, path: Path, *, backend: str, name: str = "") -> Draft:
        """Read the rows of a path on this machine and keep them as a draft; the source is not touched."""
        source = path.expanduser()
        with self._new_draft(backend, name or source.absolute().name) as folder:
            rows = readers.read(source, cut_into=folder / "slices")
            return self._kept(folder, rows, source.absolute(), backend, name or source.absolute().stem)

    def open_upload(self, files: Sequence[Path], *, backend: str, name: str = "") -> Draft:
        """A draft of uploaded files: recordings with texts, a manifest with its audio, or one archive.

        Raises BadInput for an archive that leads out of its folder or is larger than `upload_bytes` unpacked.
        """
        if not files:
            raise BadInput("No file was uploaded; choose recordings with their texts, a manifest, or an archive.")
        called = name or (files[0].stem.removesuffix(".tar") if len(files) == 1 else "upload")
        with self._new_draft(backend, called) as folder:
            source = self._uploaded(files, folder / "upload")
            rows = readers.read(source, contained=True, cut_into=folder / "slices")
            return self._kept(folder, rows, Path(files[0].name), backend, called)

    def start_slicing(
        self,
        recordings: Sequence[Path],
        *,
        backend: str,
        name: str = "",
        min_sec: float = slicing.MIN_SEC,
        max_sec: float = slicing.MAX_SEC,
    ) -> str:
        """Cut long recordings at their pauses into rows without texts; the job's result is a draft's id."""
        if not recordings:
            raise BadInput("No recording was named; give the path of a long recording.")
        headers = [audio.probe(recording) for recording in recordings]  # what is no audio is told at once
        needed = sum(h.duration_sec * h.sample_rate * h.channels * BYTES_A_SAMPLE for h in headers)
        room = self.workspace.drafts
        disk.must_fit(room, int(needed), free=disk.free_bytes(room), what="the slices")
        called = name or recordings[0].stem

        def work(report: Report) -> str:
            with self._new_draft(backend, called) as folder:
                rows = self._sliced(recordings, folder / "slices", min_sec, max_sec, report)
                return self._kept(folder, rows, recordings[0].absolute(), backend, called).id

        return self._start("slice", work)

    # ---------------------------------------------------------------------------------------------------------- drafts
    def drafts(self) -> list[Draft]:
        """The drafts, newest first."""
        return drafts.listing(self.workspace.drafts)

    def draft(self, draft_id: str) -> Draft:
        """One draft. Raises NotFound."""
        return drafts.load(self._draft_folder(draft_id))

    def discard_draft(self, draft_id: str) -> None:
        """Remove a draft with its uploads and slices; the source stays."""
        drafts.discard(self._draft_folder(draft_id))
        self._reports.pop(draft_id, None)

    def job_result(self, job_id: str) -> str:
        """The id of what a finished job made. Raises NotFound before that, and for a job that made nothing."""
        self.job(job_id)
        if "id" not in self._made.get(job_id, {}):
            raise NotFound(f"{job_id} has made nothing (yet).")
        return self._made[job_id]["id"]

    # ----------------------------------------------------------------------------------------------------------- audit
    def start_audit(self, draft_id: str) -> str:
        """Audit a draft; the job's result is the draft's id. Decisions stay, and so does an earlier audit till then."""
        folder = self._draft_folder(draft_id)
        target = needs.of(self.draft(draft_id).backend)

        def work(report: Report) -> str:
            rows = drafts.with_texts(drafts.report(folder), drafts.decisions(folder)).manifest
            found = audit.audit(
                rows, target, recogniser=self._recogniser(), on_progress=report, cancelled=report.cancelled
            )
            drafts.save_audit(folder, found)
            return draft_id

        return self._start("audit", work)

    def report(self, draft_id: str) -> AuditReport:
        """The rows with the decisions' texts applied, and what the audit found; no findings before it."""
        return self._read_draft(draft_id).report

    def _as_audited(self, draft_id: str) -> AuditReport:
        """The rows as the audit saw them."""
        return self._read_draft(draft_id).found

    def _read_draft(self, draft_id: str) -> _Held:
        folder = self._draft_folder(draft_id)
        state = tuple(_stamp(folder / name) for name in ("draft.json", "audit.json", "decisions.jsonl"))
        held = self._reports.get(draft_id)
        if held is None or held.state != state:
            # Reading 10,000 rows takes a second and a decision a moment: what was read is kept as well.
            found = held.found if held and held.state[:-1] == state[:-1] else drafts.report(folder)
            held = _Held(state, found, drafts.with_texts(found, drafts.decisions(folder)))
            self._reports[draft_id] = held
        return held

    # ------------------------------------------------------------------------------------------------------- decisions
    def decide(self, draft_id: str, rows: Sequence[str], action: Action, *, text: str = "", by: str = "") -> None:
        """Decide something of rows. Raises NotFound for an unknown row, Refused for KEEP without a name."""
        folder = self._draft_folder(draft_id)
        if action is Action.NONE:
            raise BadInput("There is nothing to decide with the action 'none'; choose what is to be done.")
        if action is Action.KEEP and not by.strip():
            raise Refused("Keeping a row in spite of a finding needs the name of the person who decides it.")
        self._must_have(draft_id, rows)
        now = self._clock()
        drafts.decide(folder, [Decision(row=row, action=action, text=text, by=by.strip(), at=now) for row in rows])

    def set_texts(self, draft_id: str, texts: Mapping[str, str], *, by: str = "") -> None:
        """Decide the texts of many rows at once, as somebody pastes them. Raises NotFound for an unknown row."""
        self._must_have(draft_id, list(texts))
        made = [
            Decision(row=row, action=Action.SET_TEXT, text=text, by=by.strip(), at=self._clock())
            for row, text in texts.items()
        ]
        drafts.decide(self._draft_folder(draft_id), made)

    def take_back(self, draft_id: str, rows: Sequence[str]) -> None:
        """Forget the decisions of rows."""
        self._must_have(draft_id, rows)
        drafts.take_back(self._draft_folder(draft_id), rows, self._clock())

    def decisions(self, draft_id: str) -> dict[str, tuple[Decision, ...]]:
        """The decisions in force, by row."""
        found = drafts.decisions(self._draft_folder(draft_id))
        return {row: tuple(made.values()) for row, made in found.items()}

    def row_samples_path(self, draft_id: str, row: str) -> Path:
        """The audio file of one of the draft's rows. Raises NotFound for any other, and when the file is gone."""
        [found] = self._rows(draft_id, [row])
        if not found.audio_path.is_file():
            raise NotFound(f"{found.audio_path} is not there; put the file back, or drop row {row}.")
        return found.audio_path

    def start_transcribing(self, draft_id: str, rows: Sequence[str]) -> str:
        """Write down what rows say, each as a decided text. Raises Refused when no Whisper folder is configured."""
        if self.whisper_folder is None:
            raise Refused(NO_WHISPER)
        wanted = self._rows(draft_id, rows)

        def work(report: Report) -> str:
            for u in self._written_down(wanted, going_on(report)):
                self.decide(draft_id, [u.id], Action.SET_TEXT, text=u.text, by=TRANSCRIBER)
            report(len(wanted), len(wanted), "Done")
            return draft_id

        return self._start("transcribe", work)

    # ----------------------------------------------------------------------------------------------------------- inside
    def _start(self, kind: str, work: Callable[[Report], str]) -> str:
        made: dict[str, str] = {}

        def run(report: Report) -> None:
            try:
                made["id"] = work(report)
            except (_Stopped, Refused):
                if not report.cancelled():
                    raise

        job_id = self._jobs.start(kind, run)
        self._made[job_id] = made
        return job_id

    def _draft_folder(self, draft_id: str) -> Path:
        folder = self.workspace.drafts / draft_id
        if folder.parent != self.workspace.drafts or not (folder / "draft.json").is_file():
            raise NotFound(f"There is no draft {draft_id!r}; open the source again on the Data page.")
        return folder

    @contextmanager
    def _new_draft(self, backend: str, name: str) -> Iterator[Path]:
        """A folder that is gone again unless it became a draft."""
        needs.of(backend)
        folder = drafts.new_folder(self.workspace.drafts, name, self._clock())
        try:
            yield folder
        finally:
            if not (folder / "draft.json").exists():
                shutil.rmtree(folder, ignore_errors=True)

    def _kept(self, folder: Path, rows: Manifest, source: Path, backend: str, name: str) -> Draft:
        return drafts.keep(folder, rows, source=source, backend=backend, name=name, now=self._clock())

    def _uploaded(self, files: Sequence[Path], into: Path) -> Path:
        """The uploaded files in the draft's folder; those of an archive instead of itself."""
        if len(files) == 1 and archive.is_archive(files[0]):
            return archive.unpack(files[0], into, max_bytes=self.upload_bytes, max_files=self.upload_files)
        size = sum(file.stat().st_size for file in files if file.is_file())
        if size > self.upload_bytes or len(files) > self.upload_files:
            raise BadInput(
                f"The upload has {len(files)} files and {size / 1e9:.1f} GB, and {self.upload_bytes / 1e9:.0f} GB are "
                "taken; give the path of a folder on this machine instead."
            )
        disk.must_fit(into.parent, size, free=disk.free_bytes(into.parent), what="the upload")
        into.mkdir()
        for file in files:
            if not file.is_file():
                raise BadInput(f"{file.name} did not arrive; upload it again.")
            if (into / file.name).exists():
                raise BadInput(f"Two files are named {file.name}; upload them as one archive with its folders.")
            shutil.copyfile(file, into / file.name)
        manifests = [f for f in into.iterdir() if f.suffix.lower() in (".jsonl", ".csv", ".tsv")]
        return manifests[0] if len(manifests) == 1 else into

    def _sliced(
        self, recordings: Sequence[Path], into: Path, min_sec: float, max_sec: float, report: Report
    ) -> Manifest:
        found: list[Utterance] = []
        names: set[str] = set()
        digest = hashlib.sha256()
        for recording in recordings:
            name, count = manifest.slug(recording.stem), 2
            while name in names:
                name, count = f"{manifest.slug(recording.stem)}-{count}", count + 1
            names.add(name)
            tell = going_on(report)
            sliced = slicing.slice_recording(
                recording, into, name=name, min_sec=min_sec, max_sec=max_sec, on_progress=tell
            )
            found += sliced.utterances
            digest.update(repr([(u.id, u.duration_sec) for u in sliced.utterances]).encode())
        return Manifest(path=recordings[0].absolute(), sha256=digest.hexdigest(), utterances=tuple(found))

    def _rows(self, draft_id: str, rows: Sequence[str]) -> list[Utterance]:
        by_id = {u.id: u for u in self.report(draft_id).manifest.utterances}
        unknown = [row for row in rows if row not in by_id]
        if unknown:
            raise NotFound(f"There is no row {unknown[0]!r} in this draft.")
        return [by_id[row] for row in rows]

    def _must_have(self, draft_id: str, rows: Sequence[str]) -> None:
        self._rows(draft_id, rows)

    def _recogniser(self) -> Recogniser | None:
        """Whisper where a folder is configured, else what comes with Earmark; None where that is not installed."""
        from engine.audit import transcripts

        return self._loaded_whisper() if self.whisper_folder is not None else transcripts.builtin()

    def _loaded_whisper(self) -> Whisper:
        from engine import whisper

        if self.whisper_folder is None:
            raise Refused(NO_WHISPER)
        if self._whisper is None:
            self._whisper = whisper.load(self.whisper_folder)
        return self._whisper

    def _written_down(
        self, rows: Sequence[Utterance], on_progress: Callable[[int, int, str], None] | None = None
    ) -> Iterator[Utterance]:
        """The rows with what Whisper hears in them; as they are where none is configured."""
        if self.whisper_folder is None:
            yield from rows
            return
        model = self._loaded_whisper()
        for done, u in enumerate(rows):
            if on_progress is not None:
                on_progress(done, len(rows), f"Writing down {u.id}")
            samples, rate = audio.read(u.audio_path)
            yield replace(u, text=model.transcribe(samples, rate, u.language))

    @contextmanager
    def _read(self, path: Path) -> Iterator[Manifest]:
        """The rows of a source without a draft; pieces that had to be cut are gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="earmark-") as folder:
            yield readers.read(path, cut_into=Path(folder) / "slices")

    def _audited(
        self, rows: Manifest, backend: str, listen: bool, on_progress: Callable[[int, int, str], None] | None
    ) -> AuditReport:
        recogniser = self._recogniser() if listen else None
        return audit.audit(rows, needs.of(backend), recogniser=recogniser, on_progress=on_progress)


def going_on(report: Report) -> Callable[[int, int, str], None]:
    """Progress that ends the work once its job is cancelled."""

    def tell(done: int, total: int, message: str) -> None:
        if report.cancelled():
            raise _Stopped
        report(done, total, message)

    return tell


def _stamp(path: Path) -> int:
    """What changes when a file does: its time and its size."""
    try:
        told = path.stat()
    except OSError:
        return 0
    return hash((told.st_mtime_ns, told.st_size, told.st_ino))
