"""Which files belong to the project: what git tracks or would track; in a folder without git, what lies there."""

from __future__ import annotations

import subprocess
from pathlib import Path

LEFT_OUT = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}


def project_files(repository: Path) -> list[str]:
    """Paths inside the checkout, with forward slashes, sorted."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    if listing.returncode == 0:
        names = [name for name in listing.stdout.split("\0") if name]
    else:
        paths = [path.relative_to(repository) for path in repository.rglob("*")]
        names = [path.as_posix() for path in paths if not LEFT_OUT.intersection(path.parts)]
    return sorted(name for name in set(names) if (repository / name).is_file())
