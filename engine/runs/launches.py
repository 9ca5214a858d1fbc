"""What is written down of a run's launches in its `control/` folder: small files, each a JSON object of numbers.

    queued.json    at, after_seq: it waits, unless the trainer has spoken since that event
    launched.json  at, after_seq, attempt: a trainer was started, for the so many-th time after that event
    exited.json    launched_at, status: how the process of that launch ended, negative for a signal

Times are seconds since the epoch. What follows from them for a run is `state`'s question.
"""

from __future__ import annotations

import json
from pathlib import Path

from engine import durable


def read(path: Path) -> dict[str, float]:
    """A file's numbers by name; empty where there is no file, or none that can be read."""
    try:
        return {name: float(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def write(path: Path, **numbers: float) -> None:
    """Put the file there, or another in its place, whole. Raises OSError."""
    durable.write_bytes(path, json.dumps(numbers).encode())
