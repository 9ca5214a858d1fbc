"""Unpacks uploaded archives (zip, tar, tar.gz): everything into a new folder, or nothing.

Knows the tricks of archives: absolute names, `..`, links, devices, encrypted members, more files or bytes than stated.
Bytes are counted as they are written, whatever the archive says of itself.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from engine.types import BadInput, DiskFull

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 1 << 20
_MOST_HEADER_BYTES = 1 << 20  # of a tar member's long name or attributes, which tarfile holds in memory
_SQUEEZED: Mapping[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, struct.error),
    *(ValueError, NotImplementedError, RuntimeError, IndexError, KeyError, OverflowError, MemoryError),
)
_PAPERS = ("readme", "license", "licence")  # that may lie beside the one folder of a set
_EXTRA_FOLDERS = ("__MACOSX",)


def is_archive(path: Path) -> bool:
    """By its name."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, into: Path, *, max_bytes: int, max_files: int) -> Path:
    """Unpack into the new folder `into`; returns it, or the one folder that everything in the archive lies in.

    Raises BadInput naming the member for a name that leads out of the folder, a link, a device, an encrypted member,
    more than `max_files` members or `max_bytes` unpacked bytes, and for an archive that is damaged; DiskFull when the
    disk is. Then nothing is left behind.
    """
    if not archive.is_file():
        raise BadInput(f"{archive} does not exist; upload the archive again.")
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise BadInput(f"{into} already holds something; unpack into a new folder.")
    into.parent.mkdir(parents=True, exist_ok=True)
    room = _Room(archive.name, Path(tempfile.mkdtemp(prefix=".tmp-", dir=into.parent)), max_bytes, max_files)
    try:
        with archive.open("rb") as opened:
            zipped = opened.read(4).startswith(b"PK")
        _unzip(archive, room) if zipped else _untar(archive, room)
        room.folder.chmod(0o755)  # mkdtemp makes it private
        if into.exists():
            into.rmdir()
        room.folder.replace(into)
    except _BROKEN as error:
        raise BadInput(
            f"{archive.name} is damaged or no archive ({error}); pack it again as .zip or .tar.gz."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(f"{into.parent} is full; {archive.name} was not unpacked. Make room there.") from error
        raise BadInput(f"{archive.name} cannot be unpacked ({error}); pack it again.") from error
    finally:
        shutil.rmtree(room.folder, ignore_errors=True)
    return _only_folder(into)


@dataclass
class _Room:
    """Where members are written, and how much may still be."""

    archive: str
    folder: Path
    max_bytes: int
    max_files: int
    bytes_written: int = 0
    members: int = 0
    written: set[str] = field(default_factory=set)

    def place(self, name: str) -> Path | None:
        """The path for a member; None for one that needs none. Raises BadInput for a name that leads elsewhere."""
        self.members += 1
        if self.members > self.max_files:
            raise self.refusal(f"holds more than {self.max_files:,} files")
        plain = name.replace("\\", "/")
        parts = PurePosixPath(plain).parts
        if plain.startswith("/") or (parts and parts[0][1:2] == ":"):
            raise self.refusal(f"has a member with an absolute name, {name[:80]!r}")
        if ".." in parts:
            raise self.refusal(f"has a member whose name leads out of the folder, {name[:80]!r}")
        if "\0" in name or any(len(p.encode(errors="replace")) > 255 for p in parts) or len(plain) > 2000:
            raise self.refusal(f"has a member with a name that no file can have, {name[:80]!r}")
        if not parts or parts[0] in _EXTRA_FOLDERS or parts[-1] in (".DS_Store",) or parts[-1].startswith("._"):
            return None
        return self.folder.joinpath(*parts)

    def fill(self, path: Path, source: IO[bytes]) -> None:
        """Copy a member's bytes, counting them."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            target = path.open("xb")
        except (FileExistsError, IsADirectoryError) as error:
            raise self.refusal(f"names {path.name!r} twice") from error
        with target:
            while chunk := source.read(_CHUNK):
                self.count(len(chunk))
                target.write(chunk)

    def count(self, size: int) -> None:
        self.bytes_written += size
        if self.bytes_written > self.max_bytes:
            raise self.refusal(f"holds more than {self.max_bytes / 1e6:,.0f} MB when unpacked")

    def refusal(self, why: str) -> BadInput:
        return BadInput(f"{self.archive} {why}; nothing was unpacked. Pack only the recordings and their texts.")


def _unzip(archive: Path, room: _Room) -> None:
    with zipfile.ZipFile(archive) as opened:
        if len(opened.infolist()) > room.max_files:
            raise room.refusal(f"holds more than {room.max_files:,} files")
        for member in opened.infolist():
            path = room.place(member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise room.refusal(f"has a link or device, {member.filename[:80]!r}")
            if member.flag_bits & 0x1:
                raise room.refusal(f"has an encrypted member, {member.filename[:80]!r}")
            if path is None:
                continue
            if member.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            with opened.open(member) as source:
                room.fill(path, source)


class _Member(tarfile.TarInfo):
    """A tar member whose long name or attributes are of a size that anybody could need."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        member = super().frombuf(buf, encoding, errors)
        extra = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)
        if member.type in (*extra, tarfile.GNUTYPE_LONGLINK) and member.size > _MOST_HEADER_BYTES:
            raise tarfile.ReadError("a member's header is too large")
        return member


def _untar(archive: Path, room: _Room) -> None:
    with _plain(archive) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=_Member) as opened:
        for member in _members(opened):
            path = room.place(member.name)
            if not (member.isreg() or member.isdir()):
                raise room.refusal(f"has a link or device, {member.name[:80]!r}")
            if path is None:
                room.count(member.size)  # it is unpacked to be passed over
                continue
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            source = opened.extractfile(member)
            if source is not None:
                room.fill(path, source)


def _members(opened: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """One after the other; none is kept, so that a million of them need no memory."""
    while (member := opened.next()) is not None:
        yield member
        cast(Any, opened).members = []


def _plain(archive: Path) -> IO[bytes]:
    with archive.open("rb") as opened:
        head = opened.read(6)
    for magic, open_squeezed in _SQUEEZED.items():
        if head.startswith(magic):
            return cast(IO[bytes], open_squeezed(archive))
    return archive.open("rb")


def _only_folder(into: Path) -> Path:
    there = [p for p in into.iterdir() if p.is_dir() or not p.name.lower().startswith(_PAPERS)]
    return there[0] if len(there) == 1 and there[0].is_dir() and not there[0].is_symlink() else into
