"""Files that survive a crash: written whole or not at all, renamed so that the rename lasts, and named by their
checksums.

Knows the file system and nothing of what the files mean.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a reader, also after a crash, sees the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    rename(temporary, path)


def rename(source: Path, target: Path) -> None:
    """Rename a file or folder and make both folders remember it. Raises OSError with `errno.EXDEV` across disks."""
    source.replace(target)  # not rename: on Windows that refuses a file that exists
    sync_folder(target.parent)
    if source.parent != target.parent:
        sync_folder(source.parent)


def sync_folder(path: Path) -> None:
    """Make the disk keep a folder's entries. Where folders cannot be synced (Windows) there is nothing to do."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make the disk keep a file's content."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def file_sha256(path: Path) -> str:
    """Checksum of a file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """sha256 of every file under `folder`, by its relative path with forward slashes, in the order of names."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}
