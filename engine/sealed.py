"""Folders published in one step and sealed by a manifest: whole, or not there at all.

Knows how a folder appears under its final name by one rename, after all its bytes are on the disk, and how
`manifest.json`, written last with the size and sha256 of every file, tells whether it is still what it was. Knows
nothing of what the files mean; `checkpoints` and the trainer's state do.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from engine import disk, durable
from engine.types import BadInput, DiskFull, NotFound, Refused

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
UNFINISHED = ".tmp-"


def publish(
    final: Path,
    *,
    what: str,
    write: Callable[[Path], None],
    meta: Mapping[str, Any],
    needed_bytes: int = 0,
    free_bytes: Callable[[Path], int] = disk.free_bytes,
) -> Path:
    """Make the folder `final` from what `write(folder)` puts into it; returns `final`. `what` names it in errors.

    Raises DiskFull, before writing when `needed_bytes` do not fit and otherwise with nothing left behind; Refused when
    `final` is there already.
    """
    root = final.parent
    root.mkdir(parents=True, exist_ok=True)
    if final.exists():
        raise Refused(f"{final} is already there; a published {what} is never written again.")
    disk.must_fit(root, needed_bytes, free=free_bytes(root), what=f"a {what}")
    building = root / f"{UNFINISHED}{final.name}-{os.getpid()}"
    try:
        building.mkdir()
        write(building)
        _seal(building, meta)
        durable.rename(building, final)
    except Exception as error:
        if is_disk_full(error):
            raise DiskFull(f"The disk of {root} filled up while saving {final.name}; make room there.") from error
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return final


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that there is no room. Libraries tell it in words of theirs."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(seen):
            return True
        seen = seen.__cause__
    return False


def read_manifest(path: Path, *, what: str) -> dict[str, Any]:
    """The manifest of a sealed folder. Raises NotFound without one, BadInput for a damaged one or another version's."""
    file = path / MANIFEST
    if not file.is_file():
        raise NotFound(f"There is no {what} in {path}: it has no {MANIFEST}.")
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        version = told["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, f"its {MANIFEST} cannot be read", what=what) from error
    if version != FORMAT_VERSION:
        raise BadInput(
            f"{path} is in format {version}, this program reads {FORMAT_VERSION}; use the version that wrote it."
        )
    return dict(told)


def check(path: Path, *, what: str, checksums: bool) -> None:
    """Compare a folder with its manifest: sizes alone, or every byte.

    Raises BadInput naming the first file that is missing, altered or, with `checksums`, too many.
    """
    files = read_manifest(path, what=what).get("files")
    if not isinstance(files, dict):
        raise damaged(path, f"its {MANIFEST} lists no files", what=what)
    for name, told in files.items():
        file = path / name
        if not file.is_file():
            raise damaged(path, f"{name} is missing", what=what)
        if file.stat().st_size != told["bytes"] or (checksums and durable.file_sha256(file) != told["sha256"]):
            raise damaged(path, f"{name} was altered", what=what)
    if checksums:
        extra = {p.relative_to(path).as_posix() for p in _files(path)} - set(files) - {MANIFEST}
        if extra:
            raise damaged(path, f"{min(extra)} does not belong to it", what=what)


def damaged(path: Path, why: str, *, what: str) -> BadInput:
    """The error for a folder that is not what its manifest says."""
    return BadInput(f"The {what} in {path} is damaged: {why}; use another one or restore it from a copy.")


def remove_unfinished(root: Path) -> None:
    """Remove what a killed writer left half written.

    Only who knows that there is no other writer may.
    """
    for path in root.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


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


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file())
