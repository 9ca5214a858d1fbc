"""Prepared datasets: repaired rows as mono 16-bit FLAC at the backend's rate, with a grouped split.

Knows the folder's layout: `manifest.jsonl`, `dataset.json`, `repairs.jsonl` (what was done to each row and why),
`unresolved.jsonl` (errors that are still in it), `audio/<id>.flac`, `reference/`. Never changes the source. A dataset
appears by one rename, so a reader sees all of it or nothing. The same rows, decisions and settings give the same
bytes; when it was made is the time of `dataset.json` and stands in no file.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine import disk, durable, locks, manifest
from engine.dataset import repairs
from engine.dataset.preparation import FORMAT_VERSION, NAMED_ROWS, Preparation, Progress, left_out_notes
from engine.needs import Needs
from engine.types import (
    AuditReport,
    BadInput,
    Dataset,
    DiskFull,
    Manifest,
    NotFound,
    PrepareSettings,
    Refused,
    Script,
    Utterance,
)

# What version 1 did not say.
OLDER: Mapping[str, Any] = {"test_count": 0, "unresolved": 0, "bad_row_share": 0.0}
BYTES_A_SAMPLE = 2  # 16-bit; FLAC needs less, so this is an upper bound
BUILDING = ".tmp-"


def prepare(
    report: AuditReport,
    settings: PrepareSettings,
    needs: Needs,
    *,
    root: Path | None = None,
    out: Path | None = None,
    now: float,
    name: str = "",
    decisions: repairs.Decisions | None = None,
    scripts: Sequence[Script] = (),
    originals: Mapping[str, str] | None = None,
    workers: int | None = None,
    on_progress: Progress | None = None,
    free_bytes: Callable[[Path], int] = disk.free_bytes,
) -> Dataset:
    """Repair the rows and write them into `root/<id>` or into `out`; returns the dataset, or the equal one there.

    A row that the audit accepted but whose samples cannot be read is left out and named in `notes`. `on_progress` may
    raise to stop; then, as after any failure, nothing is left. Raises BadInput when fewer than two rows remain or `out`
    holds something else, DiskFull before anything is written.
    """
    held_back = repairs.listening_lines(scripts)
    plan = repairs.plan(report, settings, needs, decisions=decisions, held_back=held_back, originals=originals)
    rows = plan.included
    _must_be_enough(len(rows), report.manifest.path)
    place = _place(root, out)
    _must_fit([row.utterance for row in rows], place, settings, needs, free_bytes)
    with _building(place) as building:
        try:
            writing = Preparation(building, settings, needs, workers, on_progress)
            done = writing.audio(rows)
            _must_be_enough(len(done), report.manifest.path)
            notes = (*left_out_notes(plan, rows, done), *writing.split(done, report))
            writing.logs(plan)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull(f"{place} is full; nothing of the dataset is left there. Make room there.") from error
            raise
        writing.describe(report, notes=notes, name=name or _name(report.manifest.path))
        made = load(building)
        return _publish(made, building, out or place / made.id, now)


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
        told.pop("settings", None)
        if version not in (1, FORMAT_VERSION):
            raise BadInput(
                f"{folder} was prepared in format {version} and this program reads {FORMAT_VERSION}; prepare it again."
            )
        if version == 1:
            told = {**OLDER, **told}
        told.setdefault("created_at", path.stat().st_mtime)
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


def must_be_accepted(dataset: Dataset, *, by: str) -> None:
    """Raises Refused for a dataset with errors, unless somebody takes them on by name."""
    if not dataset.unresolved or by.strip():
        return
    rows = unresolved_rows(dataset)
    more = f" and {len(rows) - NAMED_ROWS} more" if len(rows) > NAMED_ROWS else ""
    raise Refused(
        f"Dataset {dataset.id} has {dataset.unresolved} unresolved errors (rows {', '.join(rows[:NAMED_ROWS])}{more}): "
        "mend them on the Data page and prepare it again, or give your name in 'Accepted by' to train on it as it is."
    )


def unresolved_rows(dataset: Dataset) -> tuple[str, ...]:
    """Ids of the rows whose errors are still in a prepared dataset, each once."""
    try:
        lines = (dataset.path / "unresolved.jsonl").read_text(encoding="utf-8").splitlines()
        return tuple(dict.fromkeys(str(json.loads(line)["row"]) for line in lines))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


# ---------------------------------------------------------------------------------------------------- where it is built
def _place(root: Path | None, out: Path | None) -> Path:
    """The folder in which a dataset is built, made if it is missing. Raises BadInput when `out` cannot be used."""
    if out is None:
        assert root is not None
        root.mkdir(parents=True, exist_ok=True)
        return root
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / "dataset.json").is_file())):
        raise BadInput(f"{out} already holds something else; name a new folder for the dataset.")
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    return out.absolute().parent


@contextmanager
def _building(place: Path) -> Iterator[Path]:
    """A hidden folder that is gone afterwards, unless it was renamed. Clears up after preparations that were killed."""
    for lock in place.glob(f"{BUILDING}*.lock"):
        if not locks.is_held(lock):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            for left in (lock, lock.with_name(f"{lock.name}.holder")):
                left.unlink(missing_ok=True)
    building = Path(tempfile.mkdtemp(prefix=BUILDING, dir=place))
    lock = building.with_name(building.name + ".lock")
    try:
        with locks.hold(lock, what="a preparation"):
            yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)
        lock.unlink(missing_ok=True)


def _publish(made: Dataset, building: Path, final: Path, now: float) -> Dataset:
    described = building / "dataset.json"
    if (final / "dataset.json").exists():
        there = load(final)
        if there.id != made.id:
            raise BadInput(f"{final} already holds the dataset {there.id}; name a new folder for {made.id}.")
        return there
    os.utime(described, (now, now))
    building.chmod(0o755)  # mkdtemp makes it private
    durable.rename(building, final)
    return load(final)


def _name(source: Path) -> str:
    """What a dataset is called after its source: the folder, and of a file the folder that it lies in."""
    return (source if source.is_dir() else source.absolute().parent).name


def _must_be_enough(count: int, source: Path) -> None:
    if count < 2:
        raise BadInput(f"{source} has {count} usable row(s) and at least 2 are needed; mend what the audit found.")


def _must_fit(
    rows: Sequence[Utterance],
    place: Path,
    settings: PrepareSettings,
    needs: Needs,
    free_bytes: Callable[[Path], int],
) -> None:
    seconds = sum(u.duration_sec + settings.append_silence_sec for u in rows)
    needed = int(seconds * needs.sample_rate * BYTES_A_SAMPLE)
    references = {u.reference_audio for u in rows if u.reference_audio is not None}
    for reference in references:
        with suppress(OSError):
            needed += reference.stat().st_size
    disk.must_fit(place, needed, free=free_bytes(place), what="the dataset")
