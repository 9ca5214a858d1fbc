"""Checkpoints on disk: published in one step, listed, verified. It decides nothing and removes no checkpoint.

Knows the folder `checkpoints/step_000300/` of a run: what a writer put there (a folder a part, `adapter.json`) under a
manifest, so a kill at any moment leaves a whole checkpoint or none. Once published it never changes: what only a resume
needs lies beside it (`engine.train.state_files`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine import adapter_files, disk, sealed
from engine.runs.folder import RunFolder
from engine.types import BadInput, Checkpoint, NotFound

ASIDE = "damaged_"
WHAT = "checkpoint"
BYTES_OF_JSON = 64 * 1024  # of the descriptions and the manifest of one, at most


def publish(
    run_dir: Path,
    *,
    step: int,
    write: Callable[[Path], None],
    meta: Mapping[str, Any],
    needed_bytes: int = 0,
    free_bytes: Callable[[Path], int] = disk.free_bytes,
) -> Path:
    """Make `checkpoints/step_<step>` from what `write(folder)` puts into a folder; returns its path.

    `meta` has `epoch`, `train_loss`, `val_loss` (or None) and `created_at`. Raises DiskFull, before writing when
    `needed_bytes` do not fit and otherwise with nothing left behind; Refused when the step is published already.
    """
    return sealed.publish(
        path_of(run_dir, step),
        what=WHAT,
        write=write,
        meta={"run_id": run_dir.name, "step": step, **meta},
        needed_bytes=needed_bytes,
        free_bytes=free_bytes,
    )


def folder_name(step: int) -> str:
    """The name of a checkpoint's folder; names in order are steps in order."""
    return f"step_{step:06d}"


def path_of(run_dir: Path, step: int) -> Path:
    """Where the checkpoint of a step is, or would be."""
    return RunFolder(run_dir).checkpoints / folder_name(step)


def listing(run_dir: Path) -> list[Checkpoint]:
    """The complete checkpoints of a run by step: every file of the manifest is there with its size; contents unread."""
    found = []
    for path in sorted(RunFolder(run_dir).checkpoints.glob("step_*")):
        with suppress(BadInput, NotFound):
            checkpoint = load(path)
            sealed.check(path, what=WHAT, checksums=False)
            found.append(checkpoint)
    return sorted(found, key=lambda c: c.step)


def load(path: Path) -> Checkpoint:
    """What a checkpoint's manifest and `adapter.json` say.

    Raises NotFound without a manifest, BadInput for a damaged one.
    """
    told = sealed.read_manifest(path, what=WHAT)
    try:
        return Checkpoint(
            id=f"{told['run_id']}@{told['step']:06d}",
            run_id=told["run_id"],
            step=told["step"],
            epoch=told["epoch"],
            path=path,
            adapter=adapter_files.read_adapter(path),
            train_loss=told["train_loss"],
            val_loss=told["val_loss"],
            bytes=sum(file["bytes"] for file in told["files"].values()),
            created_at=told["created_at"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise sealed.damaged(path, f"its {sealed.MANIFEST} lacks {error}", what=WHAT) from error


def verify(path: Path) -> None:
    """Compare every byte with the manifest.

    Raises BadInput naming the first file that is missing, altered or too many.
    """
    sealed.check(path, what=WHAT, checksums=True)


def set_aside(path: Path) -> Path:
    """Rename a damaged checkpoint, so that it is not listed and its step can be published again; returns its path."""
    names = (path.with_name(f"{ASIDE}{path.name}{(count and f'-{count}') or ''}") for count in range(1000))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


def remove_unfinished(run_dir: Path) -> None:
    """Remove what a killed writer left half written.

    Only the holder of the run's lock may: there is no other writer then.
    """
    sealed.remove_unfinished(RunFolder(run_dir).checkpoints)
