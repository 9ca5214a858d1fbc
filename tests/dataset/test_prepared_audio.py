"""Audio files of a dataset: the same from any number of processes, and one bad file is one row's fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import durable
from engine.dataset import conditioning, prepared_audio
from engine.dataset.prepared_audio import Task
from tests.recordings import write_tone

WISHES = conditioning.Wishes(sample_rate=16_000, append_silence_sec=0.2)


def tasks(source: Path, into: Path, count: int = 6) -> list[Task]:
    for i in range(count):
        if not (source / f"r{i}.wav").exists():
            write_tone(source / f"r{i}.wav", 0.5, rate=16_000, hz=100 + 20 * i)
    return [
        Task(row=f"r{i}", source=source / f"r{i}.wav", target=into / f"r{i}.flac", wishes=WISHES) for i in range(count)
    ]


def test_processes_write_what_one_process_writes(tmp_path: Path) -> None:
    """Every row is done once, and its file and what is remembered of it do not depend on who wrote it."""
    alone = {w.row: w for w in prepared_audio.write(tasks(tmp_path / "s", tmp_path / "a"), workers=0)}
    shared = {w.row: w for w in prepared_audio.write(tasks(tmp_path / "s", tmp_path / "b"), workers=2)}
    assert sorted(alone) == sorted(shared) == [f"r{i}" for i in range(6)]
    assert durable.checksums(tmp_path / "a") == durable.checksums(tmp_path / "b")
    for row, written in alone.items():
        assert (written.content_sha256, written.done) == (shared[row].content_sha256, shared[row].done)


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    """Missing, empty and foreign files are told as faults, each with its sentence, and nothing is written of them."""
    told = tasks(tmp_path / "s", tmp_path / "a", 4)
    told[0].source.unlink()
    told[1].source.write_bytes(b"")
    told[2].source.write_bytes(b"no audio at all" * 1000)
    written = list(prepared_audio.write(told, workers=0))
    assert [bool(w.fault) for w in written] == [True, True, True, False]
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["r3.flac"]


def test_what_no_row_is_to_blame_for_is_raised(tmp_path: Path) -> None:
    """A folder that cannot be written ends the preparation, in this process and in others, instead of losing rows."""
    (tmp_path / "a").write_text("a file where a folder should be")
    for workers in (0, 2):
        with pytest.raises(OSError, match=r"exists|directory"):
            list(prepared_audio.write(tasks(tmp_path / "s", tmp_path / "a"), workers=workers))
