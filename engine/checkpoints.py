"""Checkpoints on disk: published in one step, listed, verified. It decides nothing and removes no checkpoint.

Knows the folder `checkpoints/step_000300/` of a run: what a writer put there (PEFT folders, `adapter.json`, trainer
state) and `manifest.json` with the size and sha256 of every file, written last. A folder appears under its final name
by one rename, after all its bytes are on the disk, so a kill at any moment leaves a whole checkpoint or none.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import adapters, disk, durable
from engine.run_folder import RunFolder
from engine.types import BadInput, Checkpoint, DiskFull, NotFound, Refused

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
UNFINISHED = ".tmp-"
ASIDE = "damaged_"


def publish(
    run_dir: Path,
    *,
    step: int,
    write: Callable[[Path], None],
    meta: Mapping[str, Any],
    needed_bytes: int = 0,
    free_bytes: Callable[[Path], int] = disk.free_bytes,
) -> Path:
    """Make `checkpoints/step_<step>` from what `write(folder)` puts into a folder; returns its path.

    `meta` has `epoch`, `train_loss`, `val_loss` (or None) and `created_at`. Raises DiskFull, before writing when
    `needed_bytes` do not fit and otherwise with nothing left behind; Refused when the step is published already.
    """
    root = RunFolder(run_dir).checkpoints
    root.mkdir(parents=True, exist_ok=True)
    final = root / folder_name(step)
    if final.exists():
        raise Refused(f"{final} is already there; a published checkpoint is never written again.")
    disk.must_fit(root, needed_bytes, free=free_bytes(root), what="a checkpoint")
    building = root / f"{UNFINISHED}{step:06d}-{os.getpid()}"
    try:
        building.mkdir()
        write(building)
        _seal(building, {"run_id": run_dir.name, "step": step, **meta})
        verify(building)
        durable.rename(building, final)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"The disk of {root} filled up while saving step {step}; make room there.") from error
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return final


def folder_name(step: int) -> str:
    return f"step_{step:06d}"


def listing(run_dir: Path) -> list[Checkpoint]:
    """The complete checkpoints of a run by step: every file of the manifest is there with its size; contents unread."""
    found = []
    for path in sorted(RunFolder(run_dir).checkpoints.glob("step_*")):
        with suppress(BadInput, NotFound):
            checkpoint = load(path)
            _check_files(path, checksums=False)
            found.append(checkpoint)
    return sorted(found, key=lambda c: c.step)


def load(path: Path) -> Checkpoint:
    """What a checkpoint's manifest and `adapter.json` say.

    Raises NotFound without a manifest, BadInput for a damaged one.
    """
    told = _manifest(path)
    try:
        return Checkpoint(
            id=f"{told['run_id']}@{told['step']:06d}",
            run_id=told["run_id"],
            step=told["step"],
            epoch=told["epoch"],
            path=path,
            adapter=adapters.read_adapter(path),
            train_loss=told["train_loss"],
            val_loss=told["val_loss"],
            bytes=sum(file["bytes"] for file in told["files"].values()),
            created_at=told["created_at"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"its {MANIFEST} lacks {error}") from error


def verify(path: Path) -> None:
    """Compare every byte with the manifest.

    Raises BadInput naming the first file that is missing, altered or too many.
    """
    _check_files(path, checksums=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint, so that it is not listed and its step can be published again; returns its path."""
    names = (path.with_name(f"{ASIDE}{path.name}{(count and f'-{count}') or ''}") for count in range(1000))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


def remove_unfinished(run_dir: Path) -> None:
    """Remove what a killed writer left half written.

    Only the holder of the run's lock may: there is no other writer then.
    """
    for path in RunFolder(run_dir).checkpoints.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------------- manifest
def _seal(folder: Path, meta: Mapping[str, Any]) -> None:
    """Flush every file, write the manifest, flush the folders: its presence means that all the rest is there."""
    files = {}
    for path in _files(folder):
        durable.sync_file(path)
        files[path.relative_to(folder).as_posix()] = {
            "bytes": path.stat().st_size,
            "sha256": durable.file_sha256(path),
        }
    told = {"format_version": FORMAT_VERSION, **meta, "files": files}
    durable.write_bytes(folder / MANIFEST, (json.dumps(told, indent=1, allow_nan=False) + "\n").encode())
    for path in (*sorted(p for p in folder.rglob("*") if p.is_dir()), folder):
        durable.sync_folder(path)


def _check_files(path: Path, *, checksums: bool) -> None:
    files = _manifest(path).get("files")
    if not isinstance(files, dict):
        raise _damaged(path, f"its {MANIFEST} lists no files")
    for name, told in files.items():
        file = path / name
        if not file.is_file():
            raise _damaged(path, f"{name} is missing")
        if file.stat().st_size != told["bytes"] or (checksums and durable.file_sha256(file) != told["sha256"]):
            raise _damaged(path, f"{name} was altered")
    if checksums:
        extra = {p.relative_to(path).as_posix() for p in _files(path)} - set(files) - {MANIFEST}
        if extra:
            raise _damaged(path, f"{min(extra)} does not belong to it")


def _manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    if not file.is_file():
        raise NotFound(f"There is no checkpoint in {path}: it has no {MANIFEST}.")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        version = told["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"its {MANIFEST} cannot be read") from error
    if version != FORMAT_VERSION:
        raise BadInput(
            f"{path} is in format {version}, this program reads {FORMAT_VERSION}; use the version that wrote it."
        )
    return dict(told)


def _damaged(path: Path, why: str) -> BadInput:
    return BadInput(f"The checkpoint in {path} is damaged: {why}; use another one or restore it from a copy.")


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file())
