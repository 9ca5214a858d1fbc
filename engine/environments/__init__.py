"""Environments of voices: which interpreter a voice is trained and spoken with, and what is installed.

Knows the folder of an environment in the workspace, how it is told from an unfinished one, and what a person may name
instead. `installing` makes them. Knows no pip and no voice.

    voices/<folder>/venv/       the environment; the folder is named as the one that declares it
    voices/<folder>/shared/     links to what it has in common with this one
    voices/<folder>/ready.json  written last: the hash of what it was made for
    voices/<folder>/install.log
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path

from engine import backends, locks
from engine.backends.serve.process import SERVED, Interpreter
from engine.environments import sharing
from engine.types import NotFound
from engine.workspace import Workspace

READY_FILE, LOG_FILE, SHARED = "ready.json", "install.log", "shared"
TOGETHER, ALONE = "requirements.txt", "requirements-alone.txt"
PYTHON, PATHS = "EARMARK_PYTHON_", "EARMARK_PATH_"  # and the voice's name: an interpreter and folders of a person's own


class State(StrEnum):
    """How an environment stands."""

    MISSING = "missing"
    INSTALLING = "installing"
    UNFINISHED = "unfinished"  # an installation was interrupted; the next one goes on
    BROKEN = "broken"  # what it shares with this environment is no longer where it was
    OUTDATED = "outdated"  # its voice asks for something else now
    READY = "ready"
    NAMED = "named"  # a person named an interpreter


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One voice's. `packages` are the versions that its files pin, by name; `path` is None for a named one."""

    backend: str
    state: State
    python: Path | None
    path: Path | None
    packages: Mapping[str, str]
    bytes: int = 0


@dataclass(frozen=True)
class Requirements:
    """The files that a voice declares next to it: `alone` is installed without what it asks for itself."""

    together: Path
    alone: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.together, *([self.alone] if self.alone else []))

    @property
    def sha256(self) -> str:
        """Of both files and of the kind of Python that they are installed for."""
        digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
        for path in self.files:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def packages(self) -> dict[str, str]:
        """Names and what is asked of their versions."""
        found = {}
        for path in self.files:
            for line in path.read_text(encoding="utf-8").splitlines():
                wanted = line.partition("#")[0].strip()
                if wanted and not wanted.startswith("-"):
                    name = wanted.split("=")[0].split("<")[0].split(">")[0].split("@")[0].strip()
                    found[name] = wanted.removeprefix(name).strip()
        return found


def names() -> tuple[str, ...]:
    """The voices that want an environment of their own."""
    return tuple(sorted(backends.ENVIRONMENTS))


def requirements(backend: str, folder: Path | None = None) -> Requirements:
    """What a voice declares. Raises NotFound for one that needs no environment."""
    if backend not in backends.ENVIRONMENTS:
        known = ", ".join(names())
        raise NotFound(f"{backend} needs no environment of its own; these do: {known}.")
    place = folder or backends.ENVIRONMENTS[backend]
    alone = place / ALONE
    return Requirements(place / TOGETHER, alone if alone.is_file() else None)


def folder(workspace: Workspace, backend: str) -> Path:
    """Where a voice's environment is, or would be: voices that one folder declares have it in common."""
    declared = backends.ENVIRONMENTS.get(backend)
    return workspace.voices / (declared.name if declared else backend)


def python_of(path: Path) -> Path:
    """The interpreter of an environment's folder, where this system puts it."""
    return path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def get(
    workspace: Workspace, backend: str, *, declared: Requirements | None = None, environ: Mapping[str, str] = os.environ
) -> Environment:
    """How a voice's environment stands. Raises NotFound for one that needs none."""
    wanted = declared or requirements(backend)
    path, named = folder(workspace, backend), environ.get(f"{PYTHON}{backend.upper()}", "")
    packages = wanted.packages()
    if named:
        return Environment(
            backend=backend, state=State.NAMED, python=Path(named).expanduser(), path=None, packages=packages
        )
    made = _made_for(path)
    if locks.is_held(path.with_suffix(".lock")):
        state = State.INSTALLING
    elif not path.exists():
        state = State.MISSING
    elif not made or not python_of(path).exists():
        state = State.UNFINISHED
    elif made.get("sha256") != wanted.sha256:
        state = State.OUTDATED
    else:
        state = State.BROKEN if sharing.lost(path / SHARED) else State.READY
    size = int(str(made.get("bytes", 0))) if state is State.READY else 0
    python = python_of(path) if state is State.READY else None
    return Environment(backend=backend, state=state, python=python, path=path, packages=packages, bytes=size)


def fault(found: Environment) -> str:
    """Why a voice may not be trained or spoken as its environment stands, with the mend; "" where nothing is wrong. The
    voice itself has the last word when it is loaded: a person may have put its packages elsewhere.
    """
    again = f"run `python -m engine voices install {found.backend}`, or install it on the Voices page"
    why = {
        State.MISSING: f"{found.backend} needs packages of its own, and they are not installed: {again}.",
        State.INSTALLING: f"The environment of {found.backend} is being installed; start again when it is done.",
        State.UNFINISHED: f"The installation of {found.backend}'s environment was interrupted: {again}; it goes on.",
        State.OUTDATED: f"{found.backend} asks for other packages than its environment has: {again}.",
        State.BROKEN: f"{found.backend}'s environment shares packages with Earmark's, which has moved: "
        f"{again}; that only renews the links.",
    }.get(found.state, "")
    if found.state is State.NAMED and found.python and not found.python.exists():
        return f"{PYTHON}{found.backend.upper()} names {found.python}, which is not there; name an interpreter."
    return "" if found.state is State.MISSING and _is_here(found.packages) else why


def _is_here(packages: Iterable[str]) -> bool:
    """Whether this environment has these distributions, in whatever version: the voice says itself when it is wrong."""
    try:
        return all(metadata.version(name) for name in packages)
    except metadata.PackageNotFoundError:
        return False


def listing(workspace: Workspace) -> list[Environment]:
    """All voices that want one."""
    return [get(workspace, name) for name in names()]


def interpreter(workspace: Workspace, backend: str, *, environ: Mapping[str, str] = os.environ) -> Interpreter | None:
    """What a voice is spoken and trained with: the interpreter that a person named, or else the installed environment;
    None for this process, which is so for every voice that needs no other and inside a served one.

    A voice whose packages were put into this environment by hand runs here as long as no other is installed.
    """
    if environ.get(SERVED) == backend:
        return None
    named = environ.get(f"{PYTHON}{backend.upper()}", "")
    paths = tuple(Path(one) for one in environ.get(f"{PATHS}{backend.upper()}", "").split(os.pathsep) if one)
    if named:
        return Interpreter(Path(named).expanduser(), paths)
    if backend not in backends.ENVIRONMENTS:
        return None
    found = get(workspace, backend, environ=environ)
    return Interpreter(found.python, paths) if found.state is State.READY and found.python else None


def _made_for(path: Path) -> dict[str, object]:
    try:
        told = json.loads((path / READY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
