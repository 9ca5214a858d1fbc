"""Moving checkpoints to the trash and back, and purging them after a delay. Does what was decided; decides nothing.

Knows folders. A checkpoint in the trash is `<trash>/<tombstone id>/checkpoint`, beside a `tombstone.json` that says
who moved it, when, why, under which verdicts and from where. The tombstone is written first and the checkpoint moves
by one rename, so that a kill at any point leaves the checkpoint whole on one side:

    tombstone, origin, no content   the move had not happened, or an undo had: `repair` drops the tombstone
    tombstone, content              in the trash: `undo` and `purge` work, also where it names who began a purge
    tombstone, purging              the purge was confirmed: `repair` completes it
    tombstone that says purged      a record of what is gone; nothing lists it but `records`

The origin is kept relative to the trash's parent, the workspace, so that a workspace can be moved.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine import durable
from engine.types import BadInput, Checkpoint, NotFound, Refused

FORMAT_VERSION = 1
TOMBSTONE_FILE = "tombstone.json"
CONTENT = "checkpoint"
PURGING = "purging"
PURGE_AFTER_SEC = 14 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class Tombstone:
    """What the trash knows of one checkpoint. `files` are sha256 by path inside it; times are seconds UTC."""

    id: str
    checkpoint_id: str
    run_id: str
    step: int
    origin: Path
    by: str
    reason: str
    verdict_ids: tuple[str, ...]
    at: float
    bytes: int
    files: Mapping[str, str]
    purged_at: float | None = None
    purged_by: str = ""
    purged_early: bool = False  # before its delay was over, by somebody who typed its checkpoint's id

    def purge_from(self) -> float:
        """From when on it may be purged without typing its checkpoint's id."""
        return self.at + PURGE_AFTER_SEC


# ---------------------------------------------------------------------------------------------------------------- verbs
def move(
    checkpoint: Checkpoint, *, trash: Path, by: str, reason: str, verdict_ids: Sequence[str], now: float
) -> Tombstone:
    """Move a checkpoint to the trash. Raises Refused without a name, a reason or a verdict, or when the trash is on
    another disk.

    Raises NotFound when the checkpoint is not there. Whether it may go is not asked here: that is `retention`.
    """
    if not by.strip() or not reason.strip():
        raise Refused(f"{checkpoint.id} is moved to the trash only with the name of who confirms it and a reason.")
    if not verdict_ids:
        raise Refused(f"{checkpoint.id} stays: without a verdict nothing is deleted; listen to it first.")
    if not checkpoint.path.is_dir():
        raise NotFound(f"{checkpoint.path} does not exist; reload the list of checkpoints.")
    stone = Tombstone(
        id=_free_id(trash, checkpoint, now),
        checkpoint_id=checkpoint.id,
        run_id=checkpoint.run_id,
        step=checkpoint.step,
        origin=checkpoint.path.absolute(),
        by=by.strip(),
        reason=reason.strip(),
        verdict_ids=tuple(verdict_ids),
        at=now,
        bytes=checkpoint.bytes,
        files=durable.checksums(checkpoint.path),
    )
    home = trash / stone.id
    home.mkdir(parents=True)
    _write(home, stone)
    durable.sync_folder(trash)
    try:
        durable.rename(stone.origin, home / CONTENT)
    except OSError as error:
        if not (home / CONTENT).exists():
            _drop(home)
        if error.errno == errno.EXDEV:
            raise Refused(
                f"{trash} is on another disk than {stone.origin}; put both on one, so that a move is one step."
            ) from error
        raise
    return stone


def undo(tombstone: Tombstone, *, trash: Path) -> None:
    """Bring a checkpoint back to where it was, exactly as it was.

    Raises Refused when its place is taken, NotFound when it is no longer in the trash, BadInput naming a file that was
    altered.
    """
    home = _home(trash, tombstone)
    if tombstone.origin.exists():
        raise Refused(f"{tombstone.origin} exists again; move that away first, then undo.")
    found = durable.checksums(home / CONTENT)
    for name in sorted(tombstone.files.keys() | found.keys()):
        if tombstone.files.get(name) != found.get(name):
            raise BadInput(
                f"{home / CONTENT / name} is not what was moved to the trash (altered, missing or new); "
                "put the original back, then undo."
            )
    tombstone.origin.parent.mkdir(parents=True, exist_ok=True)
    durable.rename(home / CONTENT, tombstone.origin)
    _drop(home)


def purge(tombstone: Tombstone, *, trash: Path, now: float, by: str, typed: str = "") -> Tombstone:
    """Delete a checkpoint's files for good, in the name of `by`; the tombstone stays as record and is returned.

    Raises Refused without a name, and before the delay is over unless the checkpoint's id was `typed`: the record says
    then that it went early.
    """
    home = _home(trash, tombstone)
    if not by.strip():
        raise Refused(f"{tombstone.checkpoint_id} is deleted only with the name of who confirms it.")
    is_early = now < tombstone.purge_from()
    if is_early and typed.strip() != tombstone.checkpoint_id:
        wrong = f"{typed.strip()!r} is not its id. " if typed.strip() else ""
        days = f"{(tombstone.purge_from() - now) / 86_400:.1f}".removesuffix(".0")
        raise Refused(
            f"{wrong}{tombstone.checkpoint_id} can be purged in {days} days; until then it can be brought back. "
            "To delete it before that, type its id."
        )
    confirmed = replace(tombstone, purged_by=by.strip(), purged_early=is_early)
    _write(home, confirmed)  # a kill from here on is completed in the same name
    durable.rename(home / CONTENT, home / PURGING)
    return _finish_purge(home, confirmed, now)


# -------------------------------------------------------------------------------------------------------------- looking
def listing(trash: Path) -> list[Tombstone]:
    """What lies in the trash and can be brought back, newest first."""
    return [stone for stone in records(trash) if (trash / stone.id / CONTENT).is_dir()]


def records(trash: Path) -> list[Tombstone]:
    """Every tombstone that can be read, newest first, also of what was purged. `repair` tells of the others."""
    found = []
    for path in trash.glob(f"*/{TOMBSTONE_FILE}") if trash.is_dir() else ():
        with suppress(BadInput):
            found.append(_read(path.parent))
    return sorted(found, key=lambda stone: (stone.at, stone.id), reverse=True)


def find(trash: Path, tombstone_id: str) -> Tombstone:
    """One checkpoint in the trash. Raises NotFound."""
    for stone in listing(trash):
        if stone.id == tombstone_id:
            return stone
    raise NotFound(f"There is nothing called {tombstone_id!r} in the trash; list it to see what there is.")


def repair(trash: Path, *, now: float) -> list[str]:
    """Complete or take back what a crash left half done; returns a sentence for each. Run it while nothing else uses
    the trash.
    """
    homes = sorted(path for path in trash.iterdir() if path.is_dir()) if trash.is_dir() else []
    return [sentence for home in homes if (sentence := _repair(home, now))]


# --------------------------------------------------------------------------------------------------------------- inside
def _repair(home: Path, now: float) -> str:
    """What was done or is to be done about one folder of the trash; empty when nothing is half done."""
    holds_checkpoint = (home / CONTENT).exists()
    half_purged = (home / PURGING).exists()
    if not (home / TOMBSTONE_FILE).exists():
        if holds_checkpoint or half_purged:
            return f"{home} holds a checkpoint without its tombstone; move it back to its run by hand."
        _drop(home)  # a move that was killed before its tombstone was written, or an undo after it was removed
        return ""
    try:
        stone = _read(home)
    except BadInput as error:
        return str(error)
    if half_purged:
        _finish_purge(home, stone, now)
        return f"The purge of {stone.checkpoint_id} was completed."
    if holds_checkpoint or stone.purged_at is not None:
        return ""
    if stone.origin.is_dir():
        _drop(home)
        return f"{stone.checkpoint_id} is in its place; its unfinished move was taken back."
    return f"{stone.checkpoint_id} is neither in {home} nor in {stone.origin}: it was removed by hand."


def _free_id(trash: Path, checkpoint: Checkpoint, now: float) -> str:
    """Checkpoint and time: a checkpoint that came back and goes again gets another tombstone."""
    wanted = f"{checkpoint.id}-{int(now)}"
    taken = 1
    while (trash / wanted).exists():
        taken += 1
        wanted = f"{checkpoint.id}-{int(now)}-{taken}"
    return wanted


def _home(trash: Path, tombstone: Tombstone) -> Path:
    home = trash / tombstone.id
    if not (home / CONTENT).is_dir():
        raise NotFound(f"{tombstone.checkpoint_id} is not in the trash any more; list it to see what there is.")
    return home


def _finish_purge(home: Path, tombstone: Tombstone, now: float) -> Tombstone:
    """The record first: while there is something left to delete, a kill leaves a folder that says so."""
    purged = replace(tombstone, purged_at=now)
    _write(home, purged)
    shutil.rmtree(home / PURGING)
    return purged


def _drop(home: Path) -> None:
    """Remove a tombstone whose checkpoint is not in the trash. Never recursive: it must not be able to remove a
    checkpoint.
    """
    if (home / CONTENT).exists() or (home / PURGING).exists():
        raise RuntimeError(f"{home} still holds a checkpoint; its tombstone must stay.")
    for left in (home / TOMBSTONE_FILE, home / f".{TOMBSTONE_FILE}.tmp"):
        left.unlink(missing_ok=True)
    home.rmdir()


def _write(home: Path, tombstone: Tombstone) -> None:
    workspace = home.absolute().parent.parent
    origin = tombstone.origin.absolute()
    kept = origin.relative_to(workspace) if origin.is_relative_to(workspace) else origin
    record: dict[str, Any] = {"format_version": FORMAT_VERSION, **asdict(tombstone), "origin": kept.as_posix()}
    durable.write_bytes(home / TOMBSTONE_FILE, json.dumps(record, indent=1, ensure_ascii=False).encode())


def _read(home: Path) -> Tombstone:
    path = home / TOMBSTONE_FILE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.pop("format_version") != FORMAT_VERSION:
            raise BadInput(f"{path} was written by another version of Earmark; open the workspace with that one.")
        origin = home.absolute().parent.parent / record["origin"]
        return Tombstone(**{**record, "origin": origin, "verdict_ids": tuple(record["verdict_ids"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path} cannot be read ({error}); the checkpoint itself lies beside it in {CONTENT}/."
        ) from error
