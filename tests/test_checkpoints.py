"""Checkpoints: whole or not there at all, never overwritten, and every altered byte is found."""

from __future__ import annotations

import errno
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine import adapter_files, checkpoints
from engine.types import BadInput, DiskFull, NotFound, Refused
from tests import checkpoint_writer

META = {"epoch": 2, "train_loss": 1.5, "val_loss": None, "created_at": 7.0}
KILLS = 50


def publish(run_dir: Path, step: int = 300, **options: object) -> Path:
    return checkpoints.publish(run_dir, step=step, write=checkpoint_writer.write, meta=META, **options)  # type: ignore[arg-type]


def test_what_is_published_is_listed(tmp_path: Path) -> None:
    """A checkpoint carries its id, losses, size and adapter; the listing is in the order of steps."""
    run_dir = tmp_path / "robin-1"
    later, earlier = publish(run_dir, 1200), publish(run_dir, 300)
    first, second = checkpoints.listing(run_dir)
    assert (first.path, second.path) == (earlier, later)
    assert first == checkpoints.load(earlier)
    assert (first.id, first.run_id, first.epoch) == ("robin-1@000300", "robin-1", 2)
    assert (first.train_loss, first.val_loss, first.created_at) == (1.5, None, 7.0)
    assert first.adapter == adapter_files.load_adapter(earlier)
    assert first.bytes == sum(p.stat().st_size for p in earlier.rglob("*") if p.is_file() and p.name != "manifest.json")
    checkpoints.verify(earlier)


@pytest.mark.parametrize("seed", [11])
def test_a_kill_at_any_moment_leaves_no_torn_checkpoint(tmp_path: Path, seed: int) -> None:
    """A writer killed 50 times at random moments: all that is listed verifies, all that was announced is listed."""
    run_dir = tmp_path / "run"
    draw = random.Random(seed)
    announced: set[int] = set()
    unfinished = 0
    for _ in range(KILLS):
        with subprocess.Popen(
            [sys.executable, checkpoint_writer.__file__, str(run_dir)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            announced.add(int(child.stdout.readline()))  # it writes by now, so that the kill falls into a save
            time.sleep(draw.uniform(0, 0.03))
            child.kill()
            announced |= {int(line) for line in child.stdout.read().split()}
        unfinished += len(list((run_dir / "checkpoints").glob(".tmp-*")))
        listed = checkpoints.listing(run_dir)
        assert {c.step for c in listed} >= announced
        assert len(listed) == len(list((run_dir / "checkpoints").glob("step_*")))
    for checkpoint in checkpoints.listing(run_dir):
        checkpoints.verify(checkpoint.path)
        adapter_files.load_adapter(checkpoint.path)
    assert unfinished > KILLS // 10  # else the kills missed the saves and this test shows nothing
    checkpoints.remove_unfinished(run_dir)
    assert not list((run_dir / "checkpoints").glob(".tmp-*"))


def test_a_published_step_is_never_written_again(tmp_path: Path) -> None:
    """The same step a second time is refused and the first stays as it was."""
    before = (publish(tmp_path) / "manifest.json").read_bytes()
    with pytest.raises(Refused, match="never written again"):
        publish(tmp_path)
    assert (checkpoints.listing(tmp_path)[0].path / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("file", ["lm/adapter_model.safetensors", "trainer/optimizer.safetensors", "adapter.json"])
def test_every_altered_byte_is_found(tmp_path: Path, file: str) -> None:
    """One flipped bit in any file is a sentence that names the file."""
    path = publish(tmp_path)
    content = bytearray((path / file).read_bytes())
    content[len(content) // 2] ^= 1
    (path / file).write_bytes(content)
    with pytest.raises(BadInput, match=f"{file} was altered"):
        checkpoints.verify(path)


def test_missing_truncated_and_added_files_are_found(tmp_path: Path) -> None:
    """A file that is gone or shorter hides the checkpoint from the listing; one too many is found when verified."""
    for change, sentence, is_listed in (
        (lambda p: (p / "lm/adapter_config.json").unlink(), "adapter_config.json is missing", False),
        (lambda p: (p / "trainer/optimizer.safetensors").write_bytes(b"x"), "optimizer.safetensors was altered", False),
        (lambda p: (p / "notes.txt").write_text("x"), "notes.txt does not belong", True),
    ):
        path = publish(tmp_path)
        change(path)
        with pytest.raises(BadInput, match=sentence):
            checkpoints.verify(path)
        assert bool(checkpoints.listing(tmp_path)) is is_listed
        shutil.rmtree(path)


def test_a_folder_without_a_manifest_is_no_checkpoint(tmp_path: Path) -> None:
    """The manifest is written last: without it there is nothing."""
    path = publish(tmp_path)
    (path / "manifest.json").unlink()
    assert checkpoints.listing(tmp_path) == []
    with pytest.raises(NotFound, match=r"no manifest\.json"):
        checkpoints.verify(path)


@pytest.mark.parametrize(
    ("manifest", "sentence"), [("{", "cannot be read"), ('{"format_version": 9}', "in format 9, this program reads 1")]
)
def test_a_manifest_of_another_kind(tmp_path: Path, manifest: str, sentence: str) -> None:
    """A damaged manifest or one of another version is a sentence, and the listing goes on without it."""
    other = publish(tmp_path, 100)
    path = publish(tmp_path, 200)
    (path / "manifest.json").write_text(manifest)
    with pytest.raises(BadInput, match=sentence):
        checkpoints.load(path)
    assert [c.path for c in checkpoints.listing(tmp_path)] == [other]


def test_a_full_disk_is_said_before_writing(tmp_path: Path) -> None:
    """Without room for what is announced nothing is begun."""
    with pytest.raises(DiskFull, match="a checkpoint needs"):
        publish(tmp_path, needed_bytes=10**6, free_bytes=lambda _: 10**6)
    assert list((tmp_path / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("a bug")])
def test_a_failed_write_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    """Whatever goes wrong while writing, no folder stays; a full disk is told as such."""

    def write(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise error

    with pytest.raises(DiskFull if isinstance(error, OSError) else RuntimeError):
        checkpoints.publish(tmp_path, step=1, write=write, meta=META)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_setting_aside_frees_the_step(tmp_path: Path) -> None:
    """A damaged checkpoint keeps its bytes under another name, more than once, and its step can be published again."""
    names = []
    for _ in range(2):
        names.append(checkpoints.set_aside(publish(tmp_path)).name)
        assert checkpoints.listing(tmp_path) == []
    assert names == ["damaged_step_000300", "damaged_step_000300-1"]


def test_manifest_lists_every_file(tmp_path: Path) -> None:
    """Nothing in the folder is outside of the manifest's care."""
    path = publish(tmp_path)
    listed = set(json.loads((path / "manifest.json").read_text())["files"])
    assert listed == {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()} - {"manifest.json"}
