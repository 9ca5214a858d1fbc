"""What a voice's environment shares with this one, so that some gigabytes are neither downloaded nor stored twice.

Knows how packages are linked: in a folder outside the environment, which its Python reads last. So pip sees them as
installed, and never takes them away, whatever it installs beside them. Shares torch and what comes along with it, and
only in the version that the voice asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

ROOTS = ("torch", "torchaudio")
# What torch brings that is large. The small rest is installed anew, in the version that the voice's others want.
LARGE = re.compile(r"torch|torchaudio|triton|nvidia-.*|cuda-.*")


def link(wanted: Mapping[str, str], shared: Path) -> tuple[str, ...]:
    """Fill `shared` with links to this environment's torch where it is the one that `wanted` pins ('==2.11.0'); returns
    the distributions that are shared, none where it is another one or links cannot be made.
    """
    shared.mkdir(parents=True, exist_ok=True)
    for old in shared.iterdir():
        old.unlink()
    if any(wanted.get(name) != f"=={_version(name)}" for name in ROOTS if name in wanted) or "torch" not in wanted:
        return ()
    linked = []
    try:
        for distribution in _closure([name for name in ROOTS if name in wanted]):
            _link_one(distribution, shared)
            linked.append(distribution.metadata["Name"])
    except OSError:  # a file system or a system without links
        for made in shared.iterdir():
            made.unlink()
        return ()
    return tuple(linked)


def lost(shared: Path) -> tuple[str, ...]:
    """Names of links that lead nowhere: the environment that is shared was moved or made anew."""
    if not shared.is_dir():
        return ()
    return tuple(sorted(link.name for link in shared.iterdir() if link.is_symlink() and not link.exists()))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _closure(names: list[str]) -> Iterator[metadata.Distribution]:
    """The large ones among these and what they need."""
    seen: set[str] = set()
    while names:
        name = names.pop()
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another system
            continue
        if found.metadata["Name"].lower() in seen:
            continue
        seen.add(found.metadata["Name"].lower())
        yield found
        asked = [re.split(r"[\s<>=!~;\[(]", one)[0] for one in found.requires or ()]
        names.extend(one for one in asked if LARGE.fullmatch(one.lower().replace("_", "-")))


def _link_one(distribution: metadata.Distribution, shared: Path) -> None:
    """Links to the top folders and files of a distribution, as its record names them."""
    for entry in sorted({file.parts[0] for file in distribution.files or ()}):
        if entry in ("..", "__pycache__"):
            continue
        target = Path(str(distribution.locate_file(entry)))
        if not (shared / entry).is_symlink():
            (shared / entry).symlink_to(target, target_is_directory=target.is_dir())
