"""`events.jsonl`: what a run tells, one JSON object a line, appended by its trainer alone.

Knows the format and how to read it while it grows: a line counts once its line feed is there, so a torn last line is
not seen and is cut off by the next writer. Knows nothing of what the kinds mean; `runs.progress` does.

    kind        data
    start       pid, step, epoch, total_steps, epochs, train_count, validation_count, voice, device, parameters,
                processes, unloaded_loss {part: loss}
    step        step, epoch, loss, parts {name: loss}, learning_rate, grad_norm {part: norm}, seconds, tokens,
                padding_share, memory_bytes (the peak so far, 0 where unknown); losses are means a token
    validation  step, epoch, loss, parts
    checkpoint  step, epoch, path (its folder's name), train_loss, val_loss, bytes, seconds (of the background save),
                and speech {seconds_per_character, capped_share, lines} where the trainer listened
    alert       monitor (of engine.types.MONITORS, or "disk"), step, epoch, text, stops
    heartbeat   nothing: the trainer is alive between slow steps
    note        text; state ("starting", "paused", "running") when it changes; done and total while clips are read
    end         reason ("completed", "stopped", "failed"), exit, error, step, and fault {kind, explanation, changes
                [{setting, old, new, effect}]} of a failed one; kind is "" or the memory that ran out
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from errno import ENOSPC
from pathlib import Path
from typing import Self

from engine.types import DiskFull, Event


class EventLog:
    """The writing end.

    One process holds it; safe to call from its threads. Close it, or use it as a context manager.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """Open for appending: `seq` goes on after the last whole line; what a killed writer left torn is cut off."""
        self.path = path
        self._clock = clock
        self._guard = threading.Lock()  # protects the file's end and the counter
        known, self._end = read_from(path, 0)
        self._seq = known[-1].seq + 1 if known else 0
        path.touch()
        self._file = path.open("r+b", buffering=0)
        self._file.truncate(self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def offset(self) -> int:
        """Bytes written: where the next line begins."""
        return self._end

    def append(self, kind: str, **data: object) -> Event:
        """Write one line through to the disk.

        Raises DiskFull, with the file as it was, when there is no room for it.
        """
        with self._guard:
            event = Event(seq=self._seq, kind=kind, at=self._clock(), data=data)
            line = {"seq": event.seq, "kind": kind, "at": event.at, "data": data}
            self._write(json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n")
            self._seq += 1
            return event

    def close(self) -> None:
        """Let go of the file; what was appended is on the disk already."""
        self._file.close()

    def _write(self, line: bytes) -> None:
        try:
            self._file.seek(self._end)
            if self._file.write(line) < len(line):  # a full disk may take a part of it without an error
                raise OSError(ENOSPC, "short write")
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(self._end)
            if error.errno == ENOSPC:
                raise DiskFull(f"{self.path} cannot grow: the disk is full; make room and the run goes on.") from error
            raise
        self._end += len(line)


def read(path: Path, after_seq: int = -1) -> list[Event]:
    """The events after a sequence number, oldest first; none when there is no file yet."""
    return [event for event in read_from(path, 0)[0] if event.seq > after_seq]


def read_from(path: Path, offset: int) -> tuple[list[Event], int]:
    """The whole lines from a byte offset on, and the offset after the last of them.

    Lines that are no event are passed over.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
    except FileNotFoundError:
        return [], 0
    whole = content[: content.rfind(b"\n") + 1]
    return [event for line in whole.split(b"\n") if (event := _event(line))], offset + len(whole)


def _event(line: bytes) -> Event | None:
    try:
        told = json.loads(line)
        return Event(seq=int(told["seq"]), kind=str(told["kind"]), at=float(told["at"]), data=dict(told["data"]))
    except (ValueError, KeyError, TypeError):
        return None
