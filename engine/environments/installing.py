"""Making and removing a voice's environment: venv and pip, so that a kill at any moment costs what was being done.

Knows the order: the interpreter, what is shared, what is installed, a proof that the voice's module can be imported
there, and last the mark that makes it ready. What an interrupted pip left half there is found by its missing record and
installed again. Knows no voice.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from engine import backends, durable, locks
from engine.backends.serve.process import REPOSITORY
from engine.environments import (
    LOG_FILE,
    READY_FILE,
    SHARED,
    Environment,
    Requirements,
    folder,
    get,
    python_of,
    requirements,
    sharing,
)
from engine.types import EngineError, NotFound, Refused
from engine.workspace import Workspace

LINES_OF_LOG = 12
Tell = Callable[[str], None]


def install(
    workspace: Workspace,
    backend: str,
    *,
    tell: Tell = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    declared: Requirements | None = None,
    arguments: Sequence[str] = (),
) -> Environment:
    """Make a voice's environment, or go on where an earlier call was interrupted; nothing is done for a ready one.

    `tell` gets what pip says, a line a call. `arguments` are more of pip's. Raises NotFound for a voice that needs
    none, Busy while another process installs it, Refused when `cancelled`, EngineError with the end of the log when a
    step fails.
    """
    wanted = declared or requirements(backend)
    path = folder(workspace, backend)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.hold(path.with_suffix(".lock"), what=f"installing {backend}"):
        if _is_ready(path, wanted):
            tell(f"The environment of {backend} is ready.")
        else:
            (path / READY_FILE).unlink(missing_ok=True)
            path.mkdir(exist_ok=True)
            _make(path, backend, wanted, _Steps(path / LOG_FILE, tell, cancelled), arguments)
    return get(workspace, backend, declared=declared)


def remove(workspace: Workspace, backend: str) -> None:
    """Take a voice's environment away. Raises NotFound when there is none, Busy while it is being installed."""
    path = folder(workspace, backend)
    if not path.exists():
        raise NotFound(f"{backend} has no environment in {workspace.voices}; there is nothing to remove.")
    with locks.hold(path.with_suffix(".lock"), what=f"removing {backend}"):
        (path / READY_FILE).unlink(missing_ok=True)  # from here on it is unfinished, whatever happens
        shutil.rmtree(path)


def _is_ready(path: Path, wanted: Requirements) -> bool:
    try:
        told = json.loads((path / READY_FILE).read_text(encoding="utf-8"))
        return bool(told["sha256"] == wanted.sha256) and python_of(path).exists() and not sharing.lost(path / SHARED)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _make(path: Path, backend: str, wanted: Requirements, steps: _Steps, arguments: Sequence[str]) -> None:
    python = python_of(path)
    if not python.exists():
        made = [sys.executable, "-m", "venv", "--without-pip", "--clear", str(path / "venv")]
        steps.run("Making the environment", made)
    packages = _packages(path)
    shared = sharing.link(wanted.packages(), path / SHARED)
    (packages / "earmark-shared.pth").write_text(f"{path.resolve() / SHARED}\n", encoding="utf-8")
    if shared:
        steps.tell(f"Sharing with this environment: {', '.join(sorted(shared))}")
    for half in unfinished(packages):
        steps.tell(f"{half.name} was being installed when it was interrupted; again")
        shutil.rmtree(half)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-input", "--disable-pip-version-check"]
    pip += ["--progress-bar", "off", *arguments]
    steps.run("Installing packages", [*pip, "-r", str(wanted.together)])
    if wanted.alone:
        steps.run("Installing the voice's own package", [*pip, "--no-deps", "-r", str(wanted.alone)])
    module = backends.BACKENDS.get(backend, "")
    if module:
        proof = f"import {module} as voice; getattr(voice, 'must_be_usable', lambda: None)()"
        steps.run("Looking whether it works", [str(python), "-c", proof])
    size = sum(file.stat().st_size for file in packages.rglob("*") if file.is_file() and not file.is_symlink())
    told = {"sha256": wanted.sha256, "python": sys.version.split()[0], "shared": sorted(shared), "bytes": size}
    durable.write_bytes(path / READY_FILE, json.dumps(told, indent=1).encode())
    steps.tell(f"The environment of {backend} is ready ({size / 1e9:.1f} GB).")


def unfinished(packages: Path) -> list[Path]:
    """Descriptions of packages that pip began and did not end: it writes the record of what it put there last. Without
    this an interrupted package would be taken for installed.
    """
    return [path for path in sorted(packages.glob("*.dist-info")) if not (path / "RECORD").is_file()]


def _packages(path: Path) -> Path:
    """The folder that the environment's packages are in."""
    if os.name == "nt":
        return path / "venv" / "Lib" / "site-packages"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return path / "venv" / "lib" / version / "site-packages"


class _Steps:
    """Programs run one after the other, what they say told and kept."""

    def __init__(self, log: Path, tell: Tell, cancelled: Callable[[], bool]) -> None:
        self._log = log
        self._cancelled = cancelled
        self.tell = tell

    def run(self, what: str, command: Sequence[str]) -> None:
        """Raises EngineError when it fails, Refused when it is cancelled."""
        self.tell(what)
        said: list[str] = []
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PIP_NO_COLOR": "1"}
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=environment,
                cwd=REPOSITORY,
            )
        except OSError as error:
            raise EngineError(f"{what}: {command[0]} cannot be started ({error}).") from error
        try:
            assert child.stdout is not None
            with self._log.open("a", encoding="utf-8") as log:
                for line in child.stdout:
                    log.write(line)
                    said.append(line.rstrip())
                    self.tell(line.rstrip())
                    if self._cancelled():
                        raise Refused("The installation was cancelled; the next one goes on from here.")
            child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        if child.returncode:
            tail = "\n".join(line for line in said[-LINES_OF_LOG:] if line)
            raise EngineError(
                f"{what} failed (exit code {child.returncode}); mend what it says and install again, it goes on from "
                f"here. All of it is in {self._log}. Its end:\n{tail}"
            )
