"""The trash: exact undo, a delay before purging, and a kill at any step leaves the checkpoint whole on one side."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import durable, trash
from engine.trash import Tombstone
from engine.types import BadInput, Checkpoint, NotFound, Refused
from tests.judgement_factory import make_checkpoint

DAY = 86_400.0
FILES = {"manifest.json": b"{}", "lm/adapter_model.safetensors": b"weights" * 999, "decoder/adapter_config.json": b"[]"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    path = tmp_path / "runs" / "run" / "checkpoints" / "step_000100"
    for name, content in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return make_checkpoint(100, path=path)


@pytest.fixture
def bin_path(tmp_path: Path) -> Path:
    return tmp_path / "trash"


def move(checkpoint: Checkpoint, bin_path: Path, now: float = 5.0) -> Tombstone:
    return trash.move(checkpoint, trash=bin_path, by="Ada", reason="scale 0.5 failed", verdict_ids=["v1"], now=now)


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------------- there and back
def test_a_checkpoint_goes_and_comes_back_exactly(checkpoint: Checkpoint, bin_path: Path) -> None:
    """Moving empties its place, undoing restores every byte there, and the trash is as before."""
    stone = move(checkpoint, bin_path)
    assert not checkpoint.path.exists()
    assert trash.listing(bin_path) == [stone]
    assert content(bin_path / stone.id / "checkpoint") == FILES
    trash.undo(stone, trash=bin_path)
    assert content(checkpoint.path) == FILES
    assert trash.listing(bin_path) == []
    assert list(bin_path.iterdir()) == []


def test_a_tombstone_says_who_when_why_and_from_where(checkpoint: Checkpoint, bin_path: Path) -> None:
    """What is found in the trash years later explains itself, without the database."""
    move(checkpoint, bin_path)
    (stone,) = trash.listing(bin_path)
    assert (stone.checkpoint_id, stone.run_id, stone.step) == ("run@000100", "run", 100)
    assert (stone.by, stone.reason, stone.verdict_ids, stone.at) == ("Ada", "scale 0.5 failed", ("v1",), 5.0)
    assert stone.origin == checkpoint.path
    assert stone.files == durable.checksums(bin_path / stone.id / "checkpoint")
    assert stone.purge_from() == 5.0 + 14 * DAY


def test_a_checkpoint_may_go_again(checkpoint: Checkpoint, bin_path: Path) -> None:
    """After an undo the same checkpoint gets another tombstone, also within one second and beside a purged one."""
    first = move(checkpoint, bin_path)
    trash.undo(first, trash=bin_path)
    second = move(checkpoint, bin_path)
    trash.purge(second, trash=bin_path, now=100 * DAY, by="Bo")
    checkpoint.path.mkdir()
    third = move(checkpoint, bin_path)
    assert third.id != second.id
    assert trash.listing(bin_path) == [third]


def test_a_moved_workspace_keeps_its_trash(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Undo after the workspace was renamed restores to the new place."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (tmp_path / "runs").rename(workspace / "runs")
    inside = replace(checkpoint, path=workspace / checkpoint.path.relative_to(tmp_path))
    move(inside, workspace / "trash")
    workspace.rename(tmp_path / "elsewhere")
    (stone,) = trash.listing(tmp_path / "elsewhere" / "trash")
    trash.undo(stone, trash=tmp_path / "elsewhere" / "trash")
    assert content(tmp_path / "elsewhere" / checkpoint.path.relative_to(tmp_path)) == FILES


def test_newest_first(tmp_path: Path, bin_path: Path) -> None:
    """The page shows what was moved last at the top; a trash that does not exist yet is empty."""
    assert trash.listing(bin_path) == [] == trash.repair(bin_path, now=0.0)
    stones = []
    for step, now in ((100, 7.0), (200, 9.0), (300, 8.0)):
        path = tmp_path / f"step_{step}"
        path.mkdir()
        stones.append(move(make_checkpoint(step, path=path), bin_path, now))
    assert trash.listing(bin_path) == [stones[1], stones[2], stones[0]]
    assert trash.find(bin_path, stones[2].id) == stones[2]
    with pytest.raises(NotFound, match="nothing called 'x'"):
        trash.find(bin_path, "x")


# ------------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize("lacking", [{"by": " "}, {"reason": ""}, {"verdict_ids": []}])
def test_nothing_moves_without_a_name_a_reason_and_a_verdict(
    checkpoint: Checkpoint, bin_path: Path, lacking: dict[str, object]
) -> None:
    """No verdict, no deletion: whatever the caller thinks."""
    wanted: dict[str, object] = {"by": "Ada", "reason": "failed", "verdict_ids": ["v1"], **lacking}
    with pytest.raises(Refused, match="run@000100"):
        trash.move(checkpoint, trash=bin_path, now=5.0, **wanted)  # type: ignore[arg-type]
    assert content(checkpoint.path) == FILES


def test_what_is_gone_cannot_be_moved(checkpoint: Checkpoint, bin_path: Path) -> None:
    """A checkpoint that somebody removed meanwhile is named."""
    stone = move(checkpoint, bin_path)
    with pytest.raises(NotFound, match="does not exist"):
        move(checkpoint, bin_path)
    assert trash.listing(bin_path) == [stone]


def test_undo_refuses_a_taken_place(checkpoint: Checkpoint, bin_path: Path) -> None:
    """What lies in the checkpoint's place now, even an empty folder, is not overwritten."""
    stone = move(checkpoint, bin_path)
    checkpoint.path.mkdir()
    with pytest.raises(Refused, match="exists again"):
        trash.undo(stone, trash=bin_path)
    assert list(checkpoint.path.iterdir()) == []
    checkpoint.path.rmdir()
    trash.undo(stone, trash=bin_path)
    assert content(checkpoint.path) == FILES


def test_undo_brings_back_a_run_that_was_removed(checkpoint: Checkpoint, bin_path: Path) -> None:
    """The folders above are made again."""
    stone = move(checkpoint, bin_path)
    checkpoint.path.parent.rmdir()
    trash.undo(stone, trash=bin_path)
    assert content(checkpoint.path) == FILES


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "lm/adapter_model.safetensors").write_bytes(b"other"),
        lambda folder: (folder / "lm/adapter_model.safetensors").unlink(),
        lambda folder: (folder / "lm/extra").write_bytes(b""),
    ],
    ids=["altered", "missing", "extra"],
)
def test_undo_names_what_was_altered(checkpoint: Checkpoint, bin_path: Path, harm: Callable[[Path], object]) -> None:
    """A checkpoint that is not what was moved is not passed off as it."""
    stone = move(checkpoint, bin_path)
    harm(bin_path / stone.id / "checkpoint")
    with pytest.raises(BadInput, match=r"lm/(adapter_model\.safetensors|extra) is not what was moved"):
        trash.undo(stone, trash=bin_path)
    assert not checkpoint.path.exists()


def test_undo_and_purge_work_once(checkpoint: Checkpoint, bin_path: Path) -> None:
    """A second click on the same button is told that there is nothing left to do."""
    stone = move(checkpoint, bin_path)
    trash.undo(stone, trash=bin_path)
    for again in (
        lambda: trash.undo(stone, trash=bin_path),
        lambda: trash.purge(stone, trash=bin_path, now=99 * DAY, by="Bo"),
    ):
        with pytest.raises(NotFound, match="not in the trash any more"):
            again()
    assert content(checkpoint.path) == FILES


def test_another_disk_is_refused_and_nothing_moves(
    checkpoint: Checkpoint, bin_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move that could not be one rename, and so could be half done, is not begun."""
    real = durable.rename

    def across(source: Path, target: Path) -> None:
        if source == checkpoint.path:
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(durable, "rename", across)
    with pytest.raises(Refused, match="another disk"):
        move(checkpoint, bin_path)
    assert content(checkpoint.path) == FILES
    assert list(bin_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------------------- purge
def test_purging_waits(checkpoint: Checkpoint, bin_path: Path) -> None:
    """Before the delay is over it is refused with the days left; after it the files go and the record stays."""
    stone = move(checkpoint, bin_path)
    with pytest.raises(Refused, match=r"can be purged in 4 days"):
        trash.purge(stone, trash=bin_path, now=5.0 + 10 * DAY, by="Bo")
    assert trash.listing(bin_path) == [stone]
    trash.purge(stone, trash=bin_path, now=5.0 + 14 * DAY, by="Bo")
    assert trash.listing(bin_path) == []
    assert trash.records(bin_path) == [replace(stone, purged_at=5.0 + 14 * DAY, purged_by="Bo")]
    assert [path.name for path in (bin_path / stone.id).iterdir()] == ["tombstone.json"]
    assert trash.repair(bin_path, now=99 * DAY) == []


def test_a_purge_ahead_of_its_delay_is_typed(checkpoint: Checkpoint, bin_path: Path) -> None:
    """On a full disk a named person need not wait: whoever types the checkpoint's id deletes it, and the record says
    that it went early; a slip, another id or no name deletes nothing.
    """
    stone = move(checkpoint, bin_path)
    for typed, told in (("", "type its id"), ("run@000200", "'run@000200' is not its id"), ("run", "is not its id")):
        with pytest.raises(Refused, match=told):
            trash.purge(stone, trash=bin_path, now=5.0 + DAY, by="Bo", typed=typed)
    with pytest.raises(Refused, match="the name of who"):
        trash.purge(stone, trash=bin_path, now=5.0 + DAY, by=" ", typed="run@000100")
    assert trash.listing(bin_path) == [stone]
    trash.purge(stone, trash=bin_path, now=5.0 + DAY, by="Bo", typed=" run@000100 ")
    (record,) = trash.records(bin_path)
    assert (record.purged_at, record.purged_by, record.purged_early) == (5.0 + DAY, "Bo", True)
    assert not (bin_path / stone.id / "checkpoint").exists()


def test_a_tombstone_of_an_earlier_version_is_read(checkpoint: Checkpoint, bin_path: Path) -> None:
    """One that knows nothing of who purges is in the trash all the same, and may be undone and purged."""
    stone = move(checkpoint, bin_path)
    path = bin_path / stone.id / "tombstone.json"
    told = {name: value for name, value in json.loads(path.read_text()).items() if not name.startswith("purged_")}
    path.write_text(json.dumps(told))
    assert trash.listing(bin_path) == [stone]


# --------------------------------------------------------------------------------------------------- a kill at any step
class Killed(BaseException):
    """What a kill looks like from inside: nothing after it runs, no `except Exception` sees it."""


CALLS = ("mkdir", "rename", "replace", "fsync", "unlink", "remove", "rmdir", "open")


class Killer:
    """Lets a number of calls that touch the disk through and kills the next one, before or after it has happened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, survive: int, *, after: bool) -> None:
        self.left, self.dead = survive, False
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name), after))

    def _wrapped(self, call: Callable[..., object], after: bool) -> Callable[..., object]:
        def wrapped(*args: object, **others: object) -> object:
            if self.dead:  # a killed process does nothing more, not even in its `finally` blocks
                raise Killed
            if self.left > 0:
                self.left -= 1
                return call(*args, **others)
            self.dead = True
            if after:
                call(*args, **others)
            raise Killed

        return wrapped


def killed_everywhere(act: Callable[[], object], *, after: bool) -> Iterator[bool]:
    """Run `act` killed at its first step, then its second, and so on; yields after each kill, and True when it
    completed.
    """
    for survive in range(200):
        with pytest.MonkeyPatch.context() as patch:
            Killer(patch, survive, after=after)
            try:
                act()
                completed = True
            except Killed:
                completed = False
        yield completed
        if completed:
            return
    raise AssertionError("The act has more than 200 steps.")


def whole_places(checkpoint: Checkpoint, bin_path: Path) -> list[str]:
    """Where the checkpoint lies with every byte; raises when part of it lies anywhere."""
    places = {"origin": checkpoint.path} | {path.parent.name: path for path in bin_path.glob("*/checkpoint")}
    for path in places.values():
        assert not path.exists() or content(path) == FILES
    return [name for name, path in places.items() if path.exists()]


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_moving_leaves_it_whole_on_one_side(checkpoint: Checkpoint, bin_path: Path, after: bool) -> None:
    """At every step of a move: the checkpoint is in its place or in the trash, complete; repair makes the trash
    consistent.
    """
    kills = 0
    for completed in killed_everywhere(lambda: move(checkpoint, bin_path), after=after):
        kills += not completed
        (place,) = whole_places(checkpoint, bin_path)
        trash.repair(bin_path, now=6.0)
        assert whole_places(checkpoint, bin_path) == [place]
        stones = trash.listing(bin_path)
        assert len(stones) == (place != "origin")
        if stones:
            trash.undo(stones[0], trash=bin_path)
        assert content(checkpoint.path) == FILES
        assert list(bin_path.iterdir()) == [] if bin_path.exists() else True
    assert kills > 5


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_undoing_leaves_it_whole_on_one_side(checkpoint: Checkpoint, bin_path: Path, after: bool) -> None:
    """At every step of an undo: in the trash or back, complete, and undo can be asked for again until it is back."""
    move(checkpoint, bin_path)

    def undo() -> None:
        trash.undo(trash.listing(bin_path)[0], trash=bin_path)

    kills = 0
    for completed in killed_everywhere(undo, after=after):
        kills += not completed
        (place,) = whole_places(checkpoint, bin_path)
        trash.repair(bin_path, now=6.0)
        if place == "origin":
            assert list(bin_path.iterdir()) == []
            if not completed:
                move(checkpoint, bin_path)
        else:
            assert len(trash.listing(bin_path)) == 1
    assert content(checkpoint.path) == FILES
    assert kills > 3


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_purging_is_completed(checkpoint: Checkpoint, bin_path: Path, after: bool) -> None:
    """At every step of a purge: whole in the trash, or on its way out and finished by repair; never half and listed."""
    stone = move(checkpoint, bin_path)
    kept = {name: data for name, data in content(bin_path / stone.id).items()}
    kills = 0
    for completed in killed_everywhere(lambda: trash.purge(stone, trash=bin_path, now=99 * DAY, by="Bo"), after=after):
        kills += not completed
        listed = trash.listing(bin_path)
        if listed:
            assert whole_places(checkpoint, bin_path) == [stone.id]
            continue
        trash.repair(bin_path, now=99 * DAY)
        assert [(record.purged_at, record.purged_by) for record in trash.records(bin_path)] == [(99 * DAY, "Bo")]
        assert not (bin_path / stone.id / "purging").exists()
        if not completed:
            for name, data in kept.items():
                (bin_path / stone.id / name).parent.mkdir(parents=True, exist_ok=True)
                (bin_path / stone.id / name).write_bytes(data)
    assert kills > 5


# --------------------------------------------------------------------------------------------------------------- repair
def test_repair_tells_what_it_cannot_mend(checkpoint: Checkpoint, bin_path: Path) -> None:
    """A tombstone that cannot be read or lost its checkpoint, or a checkpoint without one, is told and left alone."""
    stone = move(checkpoint, bin_path)
    tombstone = bin_path / stone.id / "tombstone.json"
    text = tombstone.read_text()
    tombstone.write_text("{")
    assert trash.listing(bin_path) == []
    assert "cannot be read" in trash.repair(bin_path, now=9.0)[0]
    tombstone.write_text(text.replace('"format_version": 1', '"format_version": 2'))
    assert "another version" in trash.repair(bin_path, now=9.0)[0]
    tombstone.unlink()
    assert "without its tombstone" in trash.repair(bin_path, now=9.0)[0]
    assert content(bin_path / stone.id / "checkpoint") == FILES
    tombstone.write_text(text)
    (bin_path / stone.id / "checkpoint").rename(bin_path.parent / "taken by hand")
    assert "removed by hand" in trash.repair(bin_path, now=9.0)[0]
    assert tombstone.exists()


def test_dropping_a_tombstone_never_takes_a_checkpoint(checkpoint: Checkpoint, bin_path: Path) -> None:
    """The one function that removes folders of the trash refuses while a checkpoint is in there."""
    stone = move(checkpoint, bin_path)
    with pytest.raises(RuntimeError, match="must stay"):
        trash._drop(bin_path / stone.id)
    assert content(bin_path / stone.id / "checkpoint") == FILES
