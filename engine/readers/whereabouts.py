"""Where the audio that a row names really lies: beside the manifest, moved elsewhere below its folder, or nowhere.

Knows paths and links and follows none out of the source's folder. Knows no formats, and opens no audio.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

from engine import audio

MOST_FILES = 1_000_000  # that are looked through for audio that was moved
PARENTS_TRIED = 3  # paths may be relative to a project's folder above the manifest's


@dataclass(frozen=True)
class Found:
    """`path` is None where the row is lost, `problem` says why. `moved`: not where the row says."""

    path: Path | None
    problem: str = ""
    mend: str = ""
    moved: bool = False


@dataclass
class Whereabouts:
    """Looks up names below `root`. `contained`: nothing outside of it is used, as for files that were uploaded."""

    root: Path
    contained: bool = False
    _real_folders: dict[str, str] = field(default_factory=dict)

    def find(self, base: Path, name: str) -> Found:
        """The file that `name` means, seen from `base`. One that is nowhere is given as it stands."""
        if (
            "\0" in name
            or any(len(part.encode(errors="replace")) > 255 for part in name.split("/"))
            or len(name) > 2000
        ):
            return Found(None, f"{name[:60]!r} cannot be the name of a file", "Correct the name.")
        stated = base / name
        for candidate in self._candidates(base, name):
            if _is_file(candidate):
                return self._allowed(candidate)
            if candidate.is_symlink():
                return self._broken_link(candidate)
        if self.contained and not self._inside(stated):
            return self._elsewhere(name) or self._outside(stated)
        return self._elsewhere(name) or Found(stated)

    def _candidates(self, base: Path, name: str) -> Iterator[Path]:
        yield base / name
        if "\\" in name:
            yield base / name.replace("\\", "/")
        if not Path(name).is_absolute() and ".." not in Path(name).parts:
            for parent in list(base.absolute().parents)[:PARENTS_TRIED]:
                if not self.contained or self._inside(parent):
                    yield parent / name

    def _allowed(self, path: Path) -> Found:
        """A link may lead anywhere inside the root; what is named outside of it was meant, but for uploads."""
        real = self._real(path)
        if real.is_relative_to(self._real_root):
            return Found(path)
        if self._inside(path):
            said = f"{path.name} is a link that leads out of {self.root.name or self.root}"
            return Found(None, said, "Copy the file itself into the folder.")
        return self._outside(path) if self.contained else Found(path)

    def _broken_link(self, path: Path) -> Found:
        if self._inside(path) and not self._real(path).is_relative_to(self._real_root):
            said = f"{path.name} is a link that leads out of {self.root.name or self.root}"
            return Found(None, said, "Copy the file itself into the folder.")
        return Found(path)

    def _outside(self, path: Path) -> Found:
        said = f"{str(path)[:120]} lies outside of what was uploaded"
        return Found(None, said, "Upload the audio together with its manifest.")

    def _elsewhere(self, name: str) -> Found | None:
        """The one file below the root that has this name; of several, the one whose folders agree best."""
        parts = (PureWindowsPath(name) if "\\" in name else PurePosixPath(name)).parts
        if not parts:
            return None
        there = self._named(parts[-1]) or self._converted(parts[-1])
        if not there:
            return None
        agree = {path: _common_end(path.parts, parts) for path in there}
        best = [path for path in there if agree[path] == max(agree.values())]
        if len(best) > 1:
            return None
        found = self._allowed(best[0])
        return Found(found.path, found.problem, found.mend, moved=True)

    def _converted(self, name: str) -> tuple[Path, ...]:
        """Files of the same name with another suffix: a set that was converted after its manifest was written."""
        stem, _, suffix = name.rpartition(".")
        if f".{suffix.lower()}" not in audio.READABLE + audio.FOREIGN:
            return ()
        return tuple(path for other in audio.READABLE for path in self._named(f"{stem}{other}"))

    def _named(self, name: str) -> tuple[Path, ...]:
        """Files of a name; where none has it letter for letter, those that differ in upper and lower case."""
        alike = self._by_name.get(name.lower(), ())
        return tuple(path for path in alike if path.name == name) or alike

    @cached_property
    def _by_name(self) -> dict[str, tuple[Path, ...]]:
        found: dict[str, tuple[Path, ...]] = {}
        seen = 0
        for folder, folders, names in os.walk(self.root):  # does not follow links
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            for name in names:
                found[name.lower()] = (*found.get(name.lower(), ()), Path(folder) / name)
            seen += len(names)
            if seen > MOST_FILES:
                break
        return found

    @cached_property
    def _real_root(self) -> Path:
        return Path(os.path.realpath(self.root))

    @cached_property
    def _plain_root(self) -> str:
        return os.path.normpath(self.root.absolute())

    def _inside(self, path: Path) -> bool:
        """By its name alone, links not followed."""
        return Path(os.path.normpath(path.absolute())).is_relative_to(self._plain_root)

    def _real(self, path: Path) -> Path:
        """Where a path leads; the folders of a set are few, so each is followed once."""
        if path.is_symlink():
            return Path(os.path.realpath(path))
        parent = str(path.parent)
        if parent not in self._real_folders:
            self._real_folders[parent] = os.path.realpath(parent)
        return Path(self._real_folders[parent], path.name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _common_end(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    count = 0
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y:
            break
        count += 1
    return count
