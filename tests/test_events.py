"""The event log: whole lines only, numbers that never repeat, and no event lost to a full disk or a kill."""

from __future__ import annotations

import errno
import os
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import events
from engine.events import EventLog
from engine.types import DiskFull


def clock() -> float:
    return 12.5


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    """Events come back in order with their data, also while the log is open."""
    with EventLog(tmp_path / "e.jsonl", clock) as log:
        log.append("note", text="grüße\u2028\n")
        log.append("step", step=1, parts={"lm": 0.5})
        read = events.read(tmp_path / "e.jsonl")
    assert [(e.seq, e.kind, e.at) for e in read] == [(0, "note", 12.5), (1, "step", 12.5)]
    assert read[0].data == {"text": "grüße\u2028\n"}
    assert events.read(tmp_path / "e.jsonl", after_seq=0) == read[1:]


def test_no_file_is_no_events(tmp_path: Path) -> None:
    """A run that has not spoken yet is no error."""
    assert events.read(tmp_path / "e.jsonl") == []


@given(cut=st.integers(1, 60))
def test_a_torn_last_line_is_unseen_and_then_replaced(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """However a kill tears the last line, readers see the whole ones and the next writer goes on with its number."""
    path = tmp_path_factory.mktemp("log") / "e.jsonl"
    with EventLog(path, clock) as log:
        for n in range(3):
            log.append("note", text=f"number {n}")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - min(cut, 40)])
    assert [e.seq for e in events.read(path)] == [0, 1]
    with EventLog(path, clock) as log:
        assert log.append("note", text="after").seq == 2
    assert [e.data["text"] for e in events.read(path)] == ["number 0", "number 1", "after"]


def test_a_foreign_line_does_not_hide_the_others(tmp_path: Path) -> None:
    """A line that is no event is passed over."""
    path = tmp_path / "e.jsonl"
    with EventLog(path, clock) as log:
        log.append("note")
    path.write_bytes(path.read_bytes() + b'\x00\x00\n[]\n{"seq": 1}\n')
    with EventLog(path, clock) as log:
        log.append("end")
    assert [e.kind for e in events.read(path)] == ["note", "end"]


def test_reading_on_from_an_offset(tmp_path: Path) -> None:
    """A follower reads each event once, however the file grows."""
    path = tmp_path / "e.jsonl"
    seen: list[int] = []
    offset = 0
    with EventLog(path, clock) as log:
        for burst in (1, 0, 3, 2):
            for _ in range(burst):
                log.append("note")
            read, offset = events.read_from(path, offset)
            seen += [e.seq for e in read]
            assert offset == log.offset
    assert seen == list(range(6))


def test_a_full_disk_leaves_the_log_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that did not fit is taken back, and the same number is given to the next."""
    path = tmp_path / "e.jsonl"
    sync = os.fsync
    attempts = count()

    def full_once(descriptor: int) -> None:
        if next(attempts) == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full_once)
    with EventLog(path, clock) as log:
        with pytest.raises(DiskFull, match="make room"):
            log.append("note", text="lost")
        assert path.read_bytes() == b""
        assert log.append("note", text="kept").seq == 0
    assert [e.data["text"] for e in events.read(path)] == ["kept"]


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    """NaN is no JSON: a reader elsewhere would refuse the whole line."""
    with EventLog(tmp_path / "e.jsonl", clock) as log, pytest.raises(ValueError, match="JSON"):
        log.append("step", loss=float("nan"))
