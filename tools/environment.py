"""Makes `.venv` and installs the requirements, again only when they change: `python tools/environment.py [--dev]`.

Knows virtual environments, pip and a stamp file inside `.venv`. Knows nothing of the product. Runs before anything is
installed: it imports the standard library alone, and an old Python 3 must get as far as being told that it is too old.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUPPORTED = ((3, 11), (3, 12))
STAMP = "installed.json"
# Models whose package names far more than is used of it: what their files list goes in without what it asks for.
ALONE = (ROOT / "engine" / "backends" / "voxcpm" / "requirements.txt",)


class SetupError(Exception):
    """Something a person has to do first; the message says what."""


def check_version(version: tuple[int, int]) -> None:
    """Raises SetupError unless `version` (major, minor) is one that Earmark is tested with."""
    if version not in SUPPORTED:
        raise SetupError(
            f"Earmark needs Python 3.11 or 3.12 and this is {version[0]}.{version[1]}; install one of them "
            "(Debian: apt-get install python3 python3-venv, macOS: brew install python@3.12, others: python.org) "
            "and run again, if need be with its path: make setup PYTHON=/path/to/python3.12"
        )


def interpreter(venv: Path) -> Path:
    """The Python inside `venv`, where this system puts it."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def fingerprints(files: Sequence[Path]) -> dict[str, str]:
    """File to SHA-256 of its bytes."""
    return {_name(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if ROOT in path.parents else path.name


def installed(venv: Path) -> dict[str, str]:
    """What the stamp says was installed; empty when there is no stamp or it cannot be read."""
    try:
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def missing(venv: Path, files: Sequence[Path]) -> list[Path]:
    """The requirement files that were never installed into `venv` as they are now."""
    done = installed(venv)
    wanted = fingerprints(files)
    return [path for path in files if done.get(_name(path)) != wanted[_name(path)]]


def usable(venv: Path) -> bool:
    """Whether the Python in `venv` starts, is supported and has pip; in a moved folder, for one, it does not start."""
    python = interpreter(venv)
    probe = "import sys, pip; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run([str(python), "-c", probe], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and tuple(map(int, answer.stdout.split())) in SUPPORTED


def create(venv: Path) -> None:
    """Make `venv` afresh. Debian splits `ensurepip` from Python: without it, this Python's own pip puts pip inside."""
    if venv.exists():
        shutil.rmtree(venv)
    if subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, check=False).returncode == 0:
        return
    commands = (
        [sys.executable, "-m", "venv", "--clear", "--without-pip", str(venv)],
        [sys.executable, "-m", "pip", "--python", str(interpreter(venv)), "install", "--quiet", "pip"],
    )
    if any(subprocess.run(command, check=False).returncode for command in commands):
        shutil.rmtree(venv, ignore_errors=True)
        raise SetupError(
            "This Python can make no virtual environment; install its venv module "
            "(Debian and Ubuntu: sudo apt-get install python3-venv) and run again."
        )


def install(venv: Path, files: Sequence[Path], *, alone: bool = False) -> None:
    """Install all `files` at once, so that pip finds versions that suit every one of them, and stamp `venv`. `alone`:
    what they list and nothing that it asks for.
    """
    command = [str(interpreter(venv)), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    command += [word for path in files for word in ("-r", str(path))]
    if alone:
        command.append("--no-deps")
    else:
        print("Installing the requirements (this takes a few minutes the first time) ...", flush=True)
    # pip repeats every requirement that is already there; only what is new is worth reading
    if subprocess.run([*command, "--quiet"], check=False).returncode:
        raise SetupError("pip could not install the requirements; its message above says why. Mend that and run again.")
    stamp = {**installed(venv), **fingerprints(files)}
    temporary = venv / (STAMP + ".tmp")
    temporary.write_text(json.dumps(stamp, indent=2), encoding="utf-8")
    temporary.replace(venv / STAMP)


def main(arguments: Sequence[str]) -> int:
    """Set up; say nothing when there is nothing to do."""
    parser = argparse.ArgumentParser(description="Make .venv and install the requirements that changed.")
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    options = parser.parse_args(arguments)
    venv = ROOT / ".venv"
    files = [ROOT / "requirements.txt"] + ([ROOT / "requirements-dev.txt"] if options.dev else [])
    try:
        if not usable(venv):
            check_version(sys.version_info[:2])
            print("Making the virtual environment .venv ...", flush=True)
            create(venv)
        if missing(venv, files):
            install(venv, files)
        if options.dev and (left := missing(venv, ALONE)):
            install(venv, left, alone=True)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
