"""A workspace as one file, and back: everything that cannot be made again, each file with its checksum.

Knows which folders of a workspace matter. Leaves out what is only a cache (features), what is being written, and the
database while an app holds it: its judgements are in the journal, and the next start makes it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engine import disk, durable, locks
from engine.store import JOURNAL
from engine.types import BadInput, Busy, Refused
from engine.workspace import Workspace

FORMAT_VERSION = 1
LIST = "BACKUP.json"
BLOCK = 1024 * 1024
UNFINISHED = (".tmp-", ".restoring-")
PASSING = (".lock", ".holder", ".tmp")
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Backup:
    """What was written. `with_database` False: an app was running, the journal stands in for it."""

    path: Path
    files: int
    bytes: int
    with_database: bool
    vanished: tuple[str, ...]  # were there when the list was made and gone when they were to be copied


def write(
    workspace: Workspace, target: Path, *, now: float, with_clips: bool = True, on_progress: Progress | None = None
) -> Backup:
    """Write the workspace to `target`, a zip file that must not exist. A reader sees the whole file or none.

    Raises Refused when it exists or lies inside the workspace's own folders, DiskFull before anything is written.
    """
    _must_be_elsewhere(workspace, target)
    files = list(_files(workspace, with_clips=with_clips))
    total = sum(path.stat().st_size for path in files if path.exists())
    target.parent.mkdir(parents=True, exist_ok=True)
    disk.must_fit(target.parent, total, free=disk.free_bytes(target.parent), what="the backup")
    building = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(building, "x", zipfile.ZIP_STORED, allowZip64=True) as archive:
            sums, vanished = _copy(workspace, files, archive, on_progress)
            with_database = _copy_database(workspace, archive, sums)
            told = {"format_version": FORMAT_VERSION, "made_at": now, "with_database": with_database, "files": sums}
            archive.writestr(LIST, json.dumps(told, indent=1))
        durable.sync_file(building)
        durable.rename(building, target)
    finally:
        building.unlink(missing_ok=True)
    return Backup(
        path=target, files=len(sums), bytes=target.stat().st_size, with_database=with_database, vanished=vanished
    )


def restore(archive: Path, home: Path) -> int:
    """Make the workspace `home` from a backup; returns the number of files. `home` must not exist or be empty.

    Everything is checked against its checksum first; `home` appears by one rename. Raises BadInput naming the file
    that is missing, altered or does not belong there.
    """
    if home.exists() and any(home.iterdir()):
        raise Refused(f"{home} is not empty; restore into a new folder, nothing is ever written over.")
    if not zipfile.is_zipfile(archive):
        raise BadInput(f"{archive} is no backup: it cannot be read as a zip file; copy it again.")
    home.parent.mkdir(parents=True, exist_ok=True)
    building = home.with_name(f".restoring-{home.name}-{os.getpid()}")
    try:
        count = _unpack(archive, building)
        if home.exists():
            home.rmdir()
        durable.rename(building, home)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return count


# -------------------------------------------------------------------------------------------------------------- writing
def _must_be_elsewhere(workspace: Workspace, target: Path) -> None:
    if target.exists():
        raise Refused(f"{target} exists already; give the backup a new name.")
    for folder in _folders(workspace):
        if target.resolve().is_relative_to(folder.resolve()):
            raise Refused(f"{target} lies inside {folder}, which it would hold; write the backup somewhere else.")


def _folders(workspace: Workspace) -> tuple[Path, ...]:
    return (
        workspace.datasets,
        workspace.drafts,
        workspace.runs,
        workspace.clips,
        workspace.references,
        workspace.scripts,
        workspace.gates,
        workspace.sweeps,
        workspace.exports,
        workspace.trash,
    )


def _files(workspace: Workspace, *, with_clips: bool) -> Iterator[Path]:
    """The journal last: it then holds what was judged while the rest was copied."""
    yield from (path for path in sorted(workspace.root.glob("*.json")) if path.is_file())
    for folder in _folders(workspace):
        if folder == workspace.clips and not with_clips:
            continue
        for path in sorted(folder.rglob("*")):
            names = path.relative_to(workspace.root).parts
            is_passing = path.name.endswith(PASSING) or any(name.startswith(UNFINISHED) for name in names)
            if path.is_file() and not path.is_symlink() and not is_passing:
                yield path
    if (workspace.root / JOURNAL).exists():
        yield workspace.root / JOURNAL


def _copy(
    workspace: Workspace, files: list[Path], archive: zipfile.ZipFile, on_progress: Progress | None
) -> tuple[dict[str, str], tuple[str, ...]]:
    sums: dict[str, str] = {}
    vanished: list[str] = []
    for done, path in enumerate(files):
        name = path.relative_to(workspace.root).as_posix()
        if on_progress is not None:
            on_progress(done, len(files), name)
        try:
            sums[name] = _add(archive, path, name)
        except FileNotFoundError:  # moved to the trash meanwhile, say
            vanished.append(name)
    if on_progress is not None:
        on_progress(len(files), len(files), "Done")
    return sums, tuple(vanished)


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as target:
        while block := source.read(BLOCK):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def _copy_database(workspace: Workspace, archive: zipfile.ZipFile, sums: dict[str, str]) -> bool:
    if not workspace.database.exists():
        return False
    try:
        with locks.hold(workspace.lock, what="a backup"):
            for path in (workspace.database, workspace.database.with_name(f"{workspace.database.name}.wal")):
                if path.exists():
                    sums[path.name] = _add(archive, path, path.name)
    except Busy:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------ restoring
def _unpack(archive: Path, into: Path) -> int:
    with zipfile.ZipFile(archive) as packed:
        sums = _list(archive, packed)
        names = {info.filename for info in packed.infolist()} - {LIST}
        if strange := sorted(names ^ sums.keys()):
            raise BadInput(f"{archive}: {strange[0]} is not as its list says; copy the backup again.")
        disk.must_fit(
            into.parent,
            sum(info.file_size for info in packed.infolist()),
            free=disk.free_bytes(into.parent),
            what="the workspace",
        )
        into.mkdir()
        for name, stated in sums.items():
            target = into / name
            if not target.resolve().is_relative_to(into.resolve()) or "\\" in name:
                raise BadInput(f"{archive}: {name} would lie outside the workspace; this is no backup of Earmark.")
            target.parent.mkdir(parents=True, exist_ok=True)
            if _extract(packed, name, target) != stated:
                raise BadInput(f"{archive}: {name} was altered; copy the backup again from where it was written.")
    return len(sums)


def _list(archive: Path, packed: zipfile.ZipFile) -> dict[str, str]:
    try:
        told = json.loads(packed.read(LIST))
        version, sums = told["format_version"], {str(k): str(v) for k, v in told["files"].items()}
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{archive} is no backup of Earmark: its {LIST} is missing or damaged.") from error
    if version != FORMAT_VERSION:
        raise BadInput(
            f"{archive} has format {version}, this program reads {FORMAT_VERSION}; use the one that made it."
        )
    return sums


def _extract(packed: zipfile.ZipFile, name: str, target: Path) -> str:
    digest = hashlib.sha256()
    try:
        with packed.open(name) as source, target.open("xb") as file:
            while block := source.read(BLOCK):
                digest.update(block)
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    except zipfile.BadZipFile:
        return ""
    return digest.hexdigest()
