"""A host without a model: each row becomes a tone whose pitch, length and ending follow from the row alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from engine.backends.backend_info import BackendInfo
from engine.types import Adapter, SpeakRow, Speech, Stop

SAMPLE_RATE = 16_000


class FakeHost:
    """Counts what it is asked; a text with the word 'forever' runs into the cap, one with 'crash' ends the process."""

    model: object = None  # nothing that a process of its own would serve

    def __init__(self) -> None:
        self.batches: list[list[SpeakRow]] = []
        self.added: list[str] = []

    def add(self, adapter: Adapter) -> str:
        self.added.append(adapter.sha256)
        return adapter.sha256

    def speak(self, rows: Sequence[SpeakRow]) -> list[Speech]:
        self.batches.append(list(rows))
        return [tone(row) for row in rows]

    @property
    def spoken(self) -> int:
        return sum(len(batch) for batch in self.batches)


def tone(row: SpeakRow) -> Speech:
    """About a second for every 14 characters, at a pitch drawn from everything that the row says."""
    digest = hashlib.sha256(json.dumps(asdict(row), sort_keys=True, default=str).encode()).digest()
    time = np.arange(max(1, round(len(row.text) / 14 * SAMPLE_RATE))) / SAMPLE_RATE
    samples = (0.1 * np.sin(2 * np.pi * (100 + digest[0]) * time)).astype(np.float32)
    stop = Stop.CAP if "forever" in row.text else Stop.EOS
    return Speech(samples=samples, sample_rate=SAMPLE_RATE, tokens=len(time) // 640, stop=stop, render_sec=0.0)


def backend_info(name: str = "fake", *, base_sha256: str = "base", version: str = "1") -> BackendInfo:
    """A backend that can say everything but the word 'unspeakable'."""
    return BackendInfo(
        name=name,
        title=name.title(),
        sample_rate=SAMPLE_RATE,
        voices=("robin", "wren"),
        parts=("lm",),
        min_sec=0.1,
        max_sec=20.0,
        unpronounceable=lambda text: "it is unspeakable" if "unspeakable" in text else None,
        base_sha256=base_sha256,
        version=version,
    )


def adapter(sha256: str = "a1", *, voice: str = "robin") -> Adapter:
    """An adapter that exists by name only."""
    return Adapter(
        sha256=sha256,
        path=Path("nowhere"),
        backend="fake",
        base_sha256="base",
        voice=voice,
        parts=("lm",),
        rank=8,
        alpha=16.0,
        voice_settings={"clock": 1.1},
    )
