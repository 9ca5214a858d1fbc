"""Which code runs: the commit of this tree where it is known, and the versions of the libraries that decide numbers.

A verdict must be traceable to the code that trained: a bug in a trainer can look like a property of an epoch.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

LIBRARIES = ("torch", "peft", "transformers", "numpy")
TIMEOUT_SEC = 5.0


def facts() -> dict[str, str]:
    """`commit` (with `-dirty` when files were changed, "unknown" outside a git checkout), python, and each library."""
    return {"commit": _commit(), "python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}}


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    try:
        told = subprocess.run(
            [git, "describe", "--always", "--dirty", "--abbrev=12", "--match="],
            cwd=Path(__file__).resolve().parent,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SEC,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip() or "unknown"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
