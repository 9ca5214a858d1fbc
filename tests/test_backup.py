"""A backup holds what cannot be made again, and comes back exactly or not at all."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from engine import backup, durable, locks
from engine.store import Store
from engine.types import BadInput, DiskFull, Refused
from engine.workspace import Workspace

KEPT = {
    "runs/robin/run.json": b"{}",
    "runs/robin/events.jsonl": b'{"seq": 0}\n',
    "runs/robin/checkpoints/step_000010/lm/adapter_model.safetensors": b"weights" * 999,
    "datasets/robin-1/manifest.jsonl": b"{}\n",
    "clips/abc.flac": b"fLaC",
    "trash/t1/tombstone.json": b"{}",
    "exports/production-robin/SHA256SUMS": b"",
    "gates/launch.json": b"{}",
}
LEFT_OUT = {
    "features/finch/x.safetensors": b"cache",
    "runs/robin/run.lock": b"",
    "runs/robin/checkpoints/.tmp-000020-1/half": b"half",
    "somebody-elses.txt": b"not ours",
}


@pytest.fixture(name="workspace")
def _workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "home")
    workspace.create()
    for name, content in {**KEPT, **LEFT_OUT}.items():
        (workspace.root / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / name).write_bytes(content)
    with Store(workspace.database) as store:
        store.pin("robin@000010", by="ada", at=1.0)
    return workspace


def test_everything_comes_back_exactly(workspace: Workspace, tmp_path: Path) -> None:
    """Restored elsewhere, every file that matters has the same bytes, caches and halves are not there, the pin is."""
    made = backup.write(workspace, tmp_path / "b.zip", now=5.0)
    count = backup.restore(made.path, tmp_path / "new")
    found = durable.checksums(tmp_path / "new")
    assert count == made.files == len(found)
    assert KEPT.keys() <= found.keys()
    assert not LEFT_OUT.keys() & found.keys()
    assert all((tmp_path / "new" / name).read_bytes() == content for name, content in KEPT.items())
    with Store(tmp_path / "new" / "evaluations.duckdb") as store:
        assert store.pinned() == {"robin@000010"}
        assert store.restored == 0


def test_a_backup_beside_an_open_app_has_every_judgement(workspace: Workspace, tmp_path: Path) -> None:
    """While the app holds the database it is left out, and the journal makes it again."""
    with locks.hold(workspace.lock, what="Earmark"):
        made = backup.write(workspace, tmp_path / "b.zip", now=5.0)
    assert not made.with_database
    backup.restore(made.path, tmp_path / "new")
    with Store(tmp_path / "new" / "evaluations.duckdb") as store:
        assert store.pinned() == {"robin@000010"}


def test_clips_can_be_left_out(workspace: Workspace, tmp_path: Path) -> None:
    """Clips can be rendered again, and are most of the bytes."""
    made = backup.write(workspace, tmp_path / "b.zip", now=5.0, with_clips=False)
    assert "clips/abc.flac" not in zipfile.ZipFile(made.path).namelist()


def test_nothing_is_ever_written_over(workspace: Workspace, tmp_path: Path) -> None:
    """Neither an earlier backup, nor a folder with something in it; and no backup holds itself."""
    made = backup.write(workspace, tmp_path / "b.zip", now=5.0)
    for refused in (lambda: backup.write(workspace, made.path, now=6.0), lambda: backup.restore(made.path, tmp_path)):
        with pytest.raises(Refused):
            refused()
    with pytest.raises(Refused, match="inside"):
        backup.write(workspace, workspace.exports / "b.zip", now=6.0)


def test_a_full_disk_leaves_no_half_backup(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room is looked for first."""
    monkeypatch.setattr("engine.disk.free_bytes", lambda path: 1000)
    with pytest.raises(DiskFull):
        backup.write(workspace, tmp_path / "b.zip", now=5.0)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_file_that_vanishes_meanwhile_is_named(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint that is moved while the backup runs does not end it."""

    def remove(done: int, total: int, name: str) -> None:
        if name == "clips/abc.flac":
            (workspace.root / name).unlink()

    made = backup.write(workspace, tmp_path / "b.zip", now=5.0, on_progress=remove)
    assert made.vanished == ("clips/abc.flac",)
    assert backup.restore(made.path, tmp_path / "new") == made.files


def altered(path: Path, change: str) -> Path:
    """A copy of a backup with one thing wrong."""
    other = path.with_name("altered.zip")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if change == "flipped" and name == "clips/abc.flac":
                content = b"fLaX"
            if change == "missing" and name == "clips/abc.flac":
                continue
            if change == "no list" and name == backup.LIST:
                continue
            if change == "outside" and name == backup.LIST:
                told = json.loads(content)
                told["files"]["../evil"] = durable.file_sha256(path)
                content = json.dumps(told).encode()
            if change == "newer" and name == backup.LIST:
                content = json.dumps(json.loads(content) | {"format_version": 99}).encode()
            target.writestr(name, content)
        if change == "added":
            target.writestr("runs/extra", b"")
        if change == "outside":
            target.writestr("../evil", path.read_bytes())
    return other


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("flipped", "abc.flac was altered"),
        ("missing", "abc.flac"),
        ("added", "runs/extra"),
        ("no list", "no backup of Earmark"),
        ("outside", "outside the workspace"),
        ("newer", "format 99"),
    ],
)
def test_a_damaged_backup_is_refused_whole(workspace: Workspace, tmp_path: Path, change: str, said: str) -> None:
    """One wrong byte, a file too many or too few, a name that climbs out: nothing is restored, the file is named."""
    made = backup.write(workspace, tmp_path / "b.zip", now=5.0)
    with pytest.raises(BadInput, match=said):
        backup.restore(altered(made.path, change), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".restoring*"))
    assert not (tmp_path / "evil").exists()


def test_something_else_is_no_backup(tmp_path: Path) -> None:
    """A text file is not opened as an archive."""
    (tmp_path / "b.zip").write_text("hello")
    with pytest.raises(BadInput, match="no backup"):
        backup.restore(tmp_path / "b.zip", tmp_path / "new")
