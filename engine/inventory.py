"""What should be on the disk and is not, or not as it was published; and how the bytes of a workspace are spent.

Knows runs' events, checkpoints' manifests and folders. Reports; mends and removes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import checkpoints, disk, events, sealed
from engine.runs.folder import RunFolder
from engine.types import BadInput, Checkpoint, NotFound, Retained


@dataclass(frozen=True, kw_only=True)
class Spent:
    """One line of the disk budget. `may_go_bytes` is what retention would let go of it."""

    what: str
    count: int
    bytes: int
    may_go_bytes: int = 0


def vanished(run_dir: Path, trashed: Collection[str]) -> list[str]:
    """A sentence for each checkpoint that the run published and that is neither in its place nor in `trashed`, ids of
    what is or was in the trash.
    """
    published = {
        int(event.data["step"]): str(event.data.get("path") or checkpoints.folder_name(int(event.data["step"])))
        for event in events.read(RunFolder(run_dir).events)
        if event.kind == "checkpoint"
    }
    told = []
    for step, name in sorted(published.items()):
        checkpoint_id = f"{run_dir.name}@{step:06d}"
        if (RunFolder(run_dir).checkpoints / name).is_dir() or checkpoint_id in trashed:
            continue
        told.append(f"{checkpoint_id} was published and is gone: it was removed by hand; restore it from a copy.")
    return told


def altered(run_dir: Path, *, checksums: bool = False) -> list[str]:
    """A sentence for each checkpoint whose files are not those of its manifest: by size, or by sha256 (slow)."""
    told = []
    for path in sorted(RunFolder(run_dir).checkpoints.glob("step_*")):
        try:
            checkpoints.load(path)
            sealed.check(path, what=checkpoints.WHAT, checksums=checksums)
        except (BadInput, NotFound) as error:
            told.append(str(error))
    return told


def spent(
    checkpoints_here: Sequence[Checkpoint], answers: Sequence[Retained], folders: Sequence[tuple[str, Path]]
) -> list[Spent]:
    """Adapters, full weights and the states that resume from them each by themselves, then the other `folders`."""
    going = {answer.checkpoint_id for answer in answers if not answer.keep}
    lines = []
    for what, kind in (("adapters", "lora"), ("full weights", "full")):
        own = [checkpoint for checkpoint in checkpoints_here if checkpoint.adapter.kind == kind]
        lines.append(
            Spent(
                what=what,
                count=len(own),
                bytes=sum(c.bytes for c in own),
                may_go_bytes=sum(c.bytes for c in own if c.id in going),
            )
        )
    states = {c.id: size for c in checkpoints_here if (size := sum(disk.file_sizes(state_of(c))))}
    lines.append(
        Spent(
            what="optimizer states",
            count=len(states),
            bytes=sum(states.values()),
            may_go_bytes=sum(size for each, size in states.items() if each in going),
        )
    )
    for what, path in folders:
        sizes = disk.file_sizes(path)
        lines.append(Spent(what=what, count=len(sizes), bytes=sum(sizes)))
    return [line for line in lines if line.count]


def state_of(checkpoint: Checkpoint) -> Path:
    """Where the optimizer's state of a checkpoint is, or was before the run went on."""
    return RunFolder(checkpoint.path.parent.parent).states / checkpoint.path.name
