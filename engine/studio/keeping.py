"""Use cases about keeping: the trash with its way back, what the disk holds, and whether everything is there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engine import checkpoints, disk, inventory, trash
from engine.inventory import Spent
from engine.runs.folder import RunFolder
from engine.studio.deciding import Deciding
from engine.trash import Tombstone
from engine.types import BadInput, Checkpoint, NotFound, Refused

STATE = "+state"  # the optimizer's state of a checkpoint goes and comes back with it


class Keeping(Deciding):
    """What the lower half of the Gate page does."""

    def trash(self, checkpoint_ids: Sequence[str], *, by: str) -> list[Tombstone]:
        """Move checkpoints that nothing keeps to the trash. Raises Refused, with the reasons, for any that is kept."""
        person = _named(by, "Moving checkpoints to the trash")
        answers = {r.checkpoint_id: r for r in self.retention()}
        for checkpoint_id in checkpoint_ids:
            self.checkpoint(checkpoint_id)
            if (answer := answers[checkpoint_id]).keep:
                raise Refused(f"{checkpoint_id} stays: {'; '.join(answer.reasons)}.")
        return [
            self._move(self.checkpoint(checkpoint_id), by=person, reason="; ".join(answers[checkpoint_id].reasons))
            for checkpoint_id in checkpoint_ids
        ]

    def _move(self, checkpoint: Checkpoint, *, by: str, reason: str) -> Tombstone:
        verdict_ids = tuple(v.id for v in self.store.verdicts() if v.candidate.checkpoint_id == checkpoint.id)
        stone = trash.move(
            checkpoint, trash=self.workspace.trash, by=by, reason=reason, verdict_ids=verdict_ids, now=self._clock()
        )
        self._note("trash", by, stone)
        self._move_state(checkpoint, inventory.state_of(checkpoint), stone)
        return stone

    def _move_state(self, checkpoint: Checkpoint, state: Path, stone: Tombstone) -> None:
        """After its checkpoint, under the same name, reason and verdicts. There may be none."""
        if not state.is_dir():
            return
        moved = trash.move(
            replace(checkpoint, id=checkpoint.id + STATE, path=state, bytes=sum(disk.file_sizes(state))),
            trash=self.workspace.trash,
            by=stone.by,
            reason=stone.reason,
            verdict_ids=stone.verdict_ids,
            now=self._clock(),
        )
        self._note("trash", stone.by, moved)

    def trashed(self) -> list[Tombstone]:
        """The checkpoints in the trash, newest first; a state that lies there goes with its checkpoint."""
        return [stone for stone in trash.listing(self.workspace.trash) if not stone.checkpoint_id.endswith(STATE)]

    def undo(self, tombstone_id: str, *, by: str) -> str:
        """Bring a checkpoint back exactly as it was, with its optimizer's state; returns its id."""
        stone = trash.find(self.workspace.trash, tombstone_id)
        for each in (stone, *self._state_of(stone)):
            trash.undo(each, trash=self.workspace.trash)
            self._note("undo", by, each)
        return stone.checkpoint_id

    def purge(self, tombstone_id: str, *, by: str, typed: str = "") -> None:
        """Delete for good what was in the trash for the delay, or before that what somebody `typed` the checkpoint's id
        of. Raises Refused without either, and without a name.
        """
        person = _named(by, "Deleting for good")
        stone = trash.find(self.workspace.trash, tombstone_id)
        belonging = self._state_of(stone)
        with suppress(BadInput, NotFound):  # altered by hand: it goes all the same
            self._let_go(checkpoints.load(self.workspace.trash / stone.id / trash.CONTENT).adapter.sha256)
        self._purge(stone, by=person, typed=typed)
        for state in belonging:
            self._purge_state(state, by=person)

    def _state_of(self, stone: Tombstone) -> list[Tombstone]:
        """The optimizer's state that went to the trash with a checkpoint, if any."""
        wanted = stone.checkpoint_id + STATE
        return [each for each in trash.listing(self.workspace.trash) if each.checkpoint_id == wanted][:1]

    def _purge_state(self, stone: Tombstone, *, by: str) -> None:
        """Its checkpoint is gone for good, so there is no delay to wait for."""
        self._purge(stone, by=by, typed=stone.checkpoint_id)

    def _purge(self, stone: Tombstone, *, by: str, typed: str) -> None:
        purged = trash.purge(stone, trash=self.workspace.trash, now=self._clock(), by=by, typed=typed)
        self._note("purge", by, stone, early=purged.purged_early)

    def pin(self, checkpoint_id: str, *, by: str) -> None:
        """Keep a checkpoint whatever the verdicts say."""
        self.checkpoint(checkpoint_id)
        self.store.pin(checkpoint_id, by=by, at=self._clock())

    def unpin(self, checkpoint_id: str, *, by: str) -> None:
        """Let the verdicts decide again."""
        self.store.unpin(checkpoint_id, by=by, at=self._clock())

    # ------------------------------------------------------------------------------------------------------- the disk
    def spent(self) -> list[Spent]:
        """How the workspace's bytes are spent, and how many of them retention would let go."""
        home = self.workspace
        folders = (
            ("clips", home.clips),
            ("features", home.features),
            ("datasets", home.datasets),
            ("exports", home.exports),
            ("trash", home.trash),
        )
        return inventory.spent(self.checkpoints(), self.retention(), folders)

    def free_bytes(self) -> int:
        """Room on the workspace's disk. When it is short, runs pause; nothing is ever deleted to make some."""
        return disk.free_bytes(self.workspace.root)

    def inspect(self, *, checksums: bool = False) -> list[str]:
        """A sentence for each checkpoint that vanished or was altered by hand; with `checksums` every byte is read."""
        known = {stone.checkpoint_id for stone in trash.records(self.workspace.trash)}
        told = []
        for run in self.runs():
            told += inventory.vanished(run.path, known)
            told += inventory.altered(run.path, checksums=checksums)
        return told

    def repair(self) -> list[str]:
        """Complete or take back what a crash left half done in the trash, and let the log agree with the disk; a
        sentence for each.
        """
        told = trash.repair(self.workspace.trash, now=self._clock())
        return told + self._follow_checkpoints() + self._agree_log()

    def _follow_checkpoints(self) -> list[str]:
        """States whose checkpoint went, came back or was purged, when the process died before they could follow."""
        for stone in self.trashed():
            run = stone.origin.parent.parent
            with suppress(BadInput, NotFound):  # altered by hand: `inspect` and `undo` tell of it
                checkpoint = checkpoints.load(self.workspace.trash / stone.id / trash.CONTENT)
                self._move_state(checkpoint, RunFolder(run).states / stone.origin.name, stone)
        gone = [stone for stone in trash.records(self.workspace.trash) if stone.purged_at is not None]
        purged = {stone.checkpoint_id: stone.purged_by or stone.by for stone in gone}
        told = []
        for stone in trash.listing(self.workspace.trash):
            checkpoint_id = stone.checkpoint_id.removesuffix(STATE)
            if checkpoint_id == stone.checkpoint_id:
                continue
            if self._is_there(checkpoint_id):
                trash.undo(stone, trash=self.workspace.trash)
                self._note("undo", stone.by, stone, recovered=True)
                told.append(f"The optimizer's state of {checkpoint_id} came back after it.")
            elif checkpoint_id in purged:
                self._purge_state(stone, by=purged[checkpoint_id])
                told.append(f"The optimizer's state of {checkpoint_id} was purged after it.")
        return told

    def _agree_log(self) -> list[str]:
        """Acts that were done when the process died before it could write them down: the last act of each tombstone
        must be what the disk shows.
        """
        last = {str(a.data["tombstone"]): a for a in self.store.acts() if a.kind in ("trash", "undo", "purge")}
        there = {stone.id: stone for stone in trash.records(self.workspace.trash)}
        told = []
        for stone in there.values():
            expected = "trash" if stone.purged_at is None else "purge"
            if stone.id not in last or last[stone.id].kind != expected:
                who, more = stone.by, {}
                if expected == "purge":
                    who, more = stone.purged_by or stone.by, {"early": stone.purged_early}
                self._note(expected, who, stone, recovered=True, **more)
                told.append(f"The log did not have the {expected} of {stone.checkpoint_id}; it does now.")
        for stone_id, act in last.items():
            checkpoint_id = str(act.data["checkpoint"])
            if act.kind == "trash" and stone_id not in there and self._is_there(checkpoint_id):
                data = {"checkpoint": checkpoint_id, "tombstone": stone_id, "recovered": True}
                self.store.add_act("undo", act.who, data, at=self._clock())
                told.append(f"The log did not have the undo of {checkpoint_id}; it does now.")
        return told

    def _is_there(self, checkpoint_id: str) -> bool:
        try:
            found = self.checkpoint(checkpoint_id.removesuffix(STATE))
        except NotFound:
            return False
        return not checkpoint_id.endswith(STATE) or inventory.state_of(found).is_dir()

    def _note(self, kind: str, who: str, stone: Tombstone, **more: object) -> None:
        told = {"checkpoint": stone.checkpoint_id, "tombstone": stone.id, "verdicts": list(stone.verdict_ids), **more}
        self.store.add_act(kind, who, told, at=self._clock())


def _named(by: str, what: str) -> str:
    if not by.strip():
        raise Refused(f"{what} needs the name of the person who confirms it.")
    return by.strip()
