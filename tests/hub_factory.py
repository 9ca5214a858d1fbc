"""A cache of models as the hub's own library lays it out: `refs/`, `blobs/`, and `snapshots/` full of links to them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

COMMIT = "4f1d8b0c" * 5
LATER = "a" * 40


def add(cache: Path, repository: str, source: Path, *, commit: str = COMMIT, revision: str = "main") -> Path:
    """Put the files of `source` into `cache` as `repository` at `commit`, which is then what `revision` means; returns
    the snapshot's folder.
    """
    home = cache / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / commit
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        blob = home / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        blob.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, blob)
        link = snapshot / path.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        depth = len(link.relative_to(home).parts) - 1
        link.symlink_to(Path(*[".."] * depth) / "blobs" / blob.name)
    ref = home / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit)
    return snapshot
