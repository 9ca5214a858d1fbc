"""Files on their way from a browser to the desk: one request a file, in a folder of their own until they are opened.

Knows names, sizes and folders. A name can lead nowhere but into its own upload; what is never opened goes after a day.
"""

from __future__ import annotations

import errno
import re
import secrets
import shutil
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path, PurePosixPath

from engine.types import BadInput, DiskFull, NotFound, Refused

MAX_BYTES = 20 * 2**30  # of one upload
MAX_FILES = 200_000
KEEP_SEC = 24 * 3600
PACKED = ".packed"
TOKEN = re.compile(r"[0-9a-f]{16}")


class Uploads:
    """The uploads below one folder, which is made when the first one begins."""

    def __init__(
        self,
        root: Path,
        *,
        clock: Callable[[], float] = time.time,
        max_bytes: int = MAX_BYTES,
        max_files: int = MAX_FILES,
    ) -> None:
        self._root = root
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._sizes: dict[str, dict[str, int]] = {}  # upload -> file -> bytes
        self._read_by: dict[str, str] = {}  # job -> upload

    def begin(self) -> str:
        """A new, empty upload. Clears away what was begun and not opened a day ago."""
        self._root.mkdir(parents=True, exist_ok=True)
        for old in self._root.iterdir():
            if old.name not in self._sizes or self._clock() - old.stat().st_mtime > KEEP_SEC:
                self.discard(old.name)
        upload = secrets.token_hex(8)
        (self._root / upload).mkdir()
        self._sizes[upload] = {}
        return upload

    async def receive(self, upload: str, name: str, chunks: AsyncIterator[bytes]) -> int:
        """Write one file, whole or not at all. Returns its size in bytes."""
        sizes = self._known(upload)
        target = self._root / upload / safe_name(name)
        if len(sizes) >= self._max_files:
            raise Refused(
                f"An upload takes {self._max_files:,} files; put the folder on this machine and give its path."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        others = sum(size for file, size in sizes.items() if file != name)
        part = target.with_name(f".{target.name}.part")
        try:
            with part.open("wb") as out:
                async for chunk in chunks:
                    out.write(chunk)
                    sizes[name] = out.tell()
                    if others + sizes[name] > self._max_bytes:
                        raise Refused(
                            f"An upload takes {self._max_bytes / 1e9:,.0f} GB; put the files on this machine and give "
                            "their path."
                        )
            part.replace(target)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull(f"There is no room for {name}; free some and upload again.") from error
            raise BadInput(f"{name} could not be kept ({error.strerror}); rename it and upload again.") from error
        finally:
            part.unlink(missing_ok=True)
        return sizes[name]

    def files(self, upload: str) -> list[Path]:
        """What has arrived, by name. Raises BadInput when it is nothing."""
        self._known(upload)
        folder = self._root / upload
        found = sorted(p for p in folder.rglob("*") if p.is_file() and not _is_hidden(p.relative_to(folder)))
        if not found:
            raise BadInput("Nothing was uploaded; choose files or a folder first.")
        return found

    def packed(self, upload: str) -> list[Path]:
        """The same; files that lie in folders as one archive, which keeps the folders."""
        files, folder = self.files(upload), self._root / upload
        tops = {p.relative_to(folder).parts[0] for p in files}
        if all(p.parent == folder for p in files):
            return files
        archive = folder / PACKED / f"{tops.pop() if len(tops) == 1 else 'upload'}.zip"
        archive.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as out:  # sound does not get smaller
            for path in files:
                out.write(path, path.relative_to(folder))
        return [archive]

    def discard_after(self, job_id: str, upload: str) -> None:
        """Keep an upload for as long as a job reads it."""
        self._read_by[job_id] = upload

    def job_over(self, job_id: str) -> None:
        """Remove what a job has read."""
        if upload := self._read_by.pop(job_id, ""):
            self.discard(upload)

    def discard(self, upload: str) -> None:
        """Forget an upload and remove its files."""
        self._sizes.pop(upload, None)
        if TOKEN.fullmatch(upload):
            shutil.rmtree(self._root / upload, ignore_errors=True)

    def _known(self, upload: str) -> dict[str, int]:
        if upload not in self._sizes:
            raise NotFound("This upload is not here any more; choose the files again.")
        return self._sizes[upload]


def safe_name(name: str) -> PurePosixPath:
    """A relative path whose every part is a plain name. Raises BadInput for anything else."""
    parts = name.replace("\\", "/").split("/")
    if any(not part or part[0] in ".~" or len(part.encode()) > 200 for part in parts):
        raise BadInput(f"{name!r} is no name of a file inside a folder; rename it and upload again.")
    if any(ord(c) < 32 or c in ':*?"<>|' for part in parts for c in part):
        raise BadInput(f"{name!r} holds a character that not every system can keep; rename it and upload again.")
    return PurePosixPath(*parts)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
