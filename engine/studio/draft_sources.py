"""Use cases about where drafts come from: a path on this machine, uploaded files, a long recording that is cut.

Knows how a source becomes a folder of rows on the desk, whole or not at all, and how much an upload may hold. What is
decided about the rows is `drafting`'s.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine import audio, disk, drafts, manifest, needs, readers, slicing
from engine.jobs import Report
from engine.readers import archive
from engine.studio.job_results import JobResults, going_on
from engine.types import BadInput, Draft, Manifest, NotFound, Utterance
from engine.workspace import Workspace

UPLOAD_BYTES, UPLOAD_FILES = 20 * 2**30, 200_000  # that one upload may have, unpacked
BYTES_A_SAMPLE = 3  # of a slice, before FLAC makes it smaller


class DraftSources(JobResults):
    """What the Data page opens a dataset with, and the drafts that came of it."""

    def __init__(self, workspace: Workspace, *, clock: Callable[[], float], device: str = "auto") -> None:
        super().__init__(workspace, clock=clock, device=device)
        self.upload_bytes, self.upload_files = UPLOAD_BYTES, UPLOAD_FILES
        drafts.sweep(workspace.drafts)

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

    def drafts(self) -> list[Draft]:
        """The drafts, newest first."""
        return drafts.listing(self.workspace.drafts)

    def draft(self, draft_id: str) -> Draft:
        """One draft. Raises NotFound."""
        return drafts.load(self._draft_folder(draft_id))

    # ---------------------------------------------------------------------------------------------------------- inside
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

    @contextmanager
    def _read(self, path: Path) -> Iterator[Manifest]:
        """The rows of a source without a draft; pieces that had to be cut are gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="earmark-") as folder:
            yield readers.read(path, cut_into=Path(folder) / "slices")
