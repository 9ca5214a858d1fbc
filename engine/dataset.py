"""Prepared datasets: audited rows as mono 16-bit FLAC at the voice's rate, with a grouped split.

Knows the folder's layout: `manifest.jsonl`, `dataset.json`, `audio/<id>.flac`. Never changes the source. A dataset
appears by one rename, so a reader sees all of it or nothing; preparing the same rows again finds the same dataset.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from engine import audio, disk, manifest, splitting
from engine.types import AuditReport, BadInput, Dataset, Manifest, NotFound, Utterance

FORMAT_VERSION = 1
BYTES_A_SAMPLE = 2  # 16-bit; FLAC needs less, so this is an upper bound
Progress = Callable[[int, int, str], None]


def prepare(
    report: AuditReport,
    *,
    root: Path,
    backend: str,
    sample_rate: int,
    now: float,
    validation_share: float = 0.1,
    seed: int = 42,
    name: str = "",
    on_progress: Progress | None = None,
    free_bytes: Callable[[Path], int] = disk.free_bytes,
) -> Dataset:
    """Write the rows without errors into `root/<id>`; returns the dataset, or the equal one that is already there.

    A row that the audit accepted but whose samples cannot be read is left out and named in `notes`. Raises BadInput
    when fewer than two rows remain, DiskFull before anything is written.
    """
    rows = [u for u in report.manifest.utterances if u.id not in report.rows_with_errors]
    _must_be_enough(rows, report.manifest.path)
    root.mkdir(parents=True, exist_ok=True)
    _must_fit(rows, root, sample_rate, free_bytes)
    building = Path(tempfile.mkdtemp(prefix=".tmp-", dir=root))
    try:
        written, notes = _write_audio(rows, building / "audio", sample_rate, on_progress)
        _must_be_enough(written, report.manifest.path)
        split, split_note = splitting.split(written, validation_share=validation_share, seed=seed)
        manifest.write(building / "manifest.jsonl", split)
        content = _content_sha256(building, split)
        dataset = Dataset(
            id=f"{manifest.slug(name or report.manifest.path.parent.name)}-{content[:8]}",
            path=building,
            manifest_sha256=hashlib.sha256((building / "manifest.jsonl").read_bytes()).hexdigest(),
            backend=backend,
            sample_rate=sample_rate,
            train_count=sum(u.split == splitting.TRAIN for u in split),
            validation_count=sum(u.split == splitting.VALIDATION for u in split),
            test_count=0,
            unresolved=0,
            bad_row_share=0.0,
            train_sec=sum(u.duration_sec for u in split if u.split == splitting.TRAIN),
            excluded_count=len(report.manifest.utterances) - len(split),
            source=report.manifest.path,
            created_at=now,
            notes=tuple(n for n in (*notes, split_note) if n),
        )
        return _publish(dataset, root, content)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def load(folder: Path) -> Dataset:
    """Read a prepared dataset's description.

    Raises NotFound when there is none, BadInput when it is of another version.
    """
    path = folder / "dataset.json"
    if not path.is_file():
        raise NotFound(f"{folder} is not a prepared dataset; prepare one on the Data page.")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        version = told.pop("format_version")
        told.pop("content_sha256")
        if version != FORMAT_VERSION:
            raise BadInput(
                f"{folder} was prepared in format {version} and this program reads {FORMAT_VERSION}; prepare it again."
            )
        told.update(path=folder, source=Path(told["source"]), notes=tuple(told["notes"]))
        return Dataset(**told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is damaged ({error}); prepare the dataset again.") from error


def listing(root: Path) -> list[Dataset]:
    """The prepared datasets below `root`, newest first; unreadable folders are left out."""
    found = []
    for path in sorted(root.glob("*/dataset.json")):
        if path.parent.name.startswith("."):
            continue
        with suppress(BadInput):
            found.append(load(path.parent))
    return sorted(found, key=lambda d: d.created_at, reverse=True)


def utterances(dataset: Dataset) -> tuple[Utterance, ...]:
    """The rows of a prepared dataset, with `split` set. Raises BadInput when its manifest was changed since."""
    read: Manifest = manifest.read(dataset.path / "manifest.jsonl")
    if read.sha256 != dataset.manifest_sha256:
        raise BadInput(
            f"{read.path} was changed after it was prepared; prepare the dataset again from {dataset.source}."
        )
    return read.utterances


# -------------------------------------------------------------------------------------------------------------- writing
def _write_audio(
    rows: Sequence[Utterance], folder: Path, sample_rate: int, on_progress: Progress | None
) -> tuple[list[Utterance], list[str]]:
    written: list[Utterance] = []
    notes: list[str] = []
    for done, row in enumerate(rows):
        if on_progress is not None:
            on_progress(done, len(rows), f"Preparing {row.id}")
        try:
            samples, _ = audio.read(row.audio_path, sample_rate)
        except BadInput as error:
            notes.append(f"{row.id} was left out: {error}")
            continue
        path = folder / f"{row.id}.flac"
        audio.write(path, samples, sample_rate)
        seconds = len(samples) / sample_rate
        written.append(replace(row, audio_path=path, duration_sec=seconds, sample_rate=sample_rate, channels=1))
    if on_progress is not None:
        on_progress(len(rows), len(rows), "Done")
    return written, notes


def _content_sha256(folder: Path, rows: Sequence[Utterance]) -> str:
    """Over the manifest and every audio file, so that a recording mended in place makes another dataset."""
    digest = hashlib.sha256((folder / "manifest.jsonl").read_bytes())
    for row in rows:
        digest.update(hashlib.sha256(row.audio_path.read_bytes()).digest())
    return digest.hexdigest()


def _publish(dataset: Dataset, root: Path, content: str) -> Dataset:
    final = root / dataset.id
    if (final / "dataset.json").exists():
        return load(final)
    told = asdict(dataset) | {
        "format_version": FORMAT_VERSION,
        "content_sha256": content,
        "source": str(dataset.source.resolve()),
    }
    del told["path"]  # a workspace may be moved
    (dataset.path / "dataset.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    dataset.path.chmod(0o755)  # mkdtemp makes it private
    dataset.path.rename(final)
    return load(final)


def _must_be_enough(rows: Sequence[Utterance], source: Path) -> None:
    if len(rows) < 2:
        raise BadInput(f"{source} has {len(rows)} usable row(s) and at least 2 are needed; mend what the audit found.")


def _must_fit(rows: Sequence[Utterance], root: Path, sample_rate: int, free_bytes: Callable[[Path], int]) -> None:
    needed = int(sum(u.duration_sec for u in rows) * sample_rate * BYTES_A_SAMPLE)
    disk.must_fit(root, needed, free=free_bytes(root), what="the dataset")
