"""Small made-up recordings and manifests for tests: tones that last as long as their text would."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engine import audio

CHARACTERS_A_SEC = 14.0
WORDS = (
    "amber",
    "birds",
    "carry",
    "distant",
    "echoes",
    "from",
    "garden",
    "hills",
    "into",
    "june",
    "kettle",
    "lanterns",
)


def line(index: int, words: int = 6) -> str:
    """A sentence that no other index has."""
    return (
        " ".join(WORDS[(index * 5 + k * (1 + index // len(WORDS))) % len(WORDS)] for k in range(words)) + f" {index}."
    )


def write_tone(path: Path, seconds: float, *, rate: int = 16_000, hz: float = 200.0) -> None:
    time = np.arange(int(seconds * rate)) / rate
    audio.write(path, (0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32), rate)


def make_manifest(
    folder: Path,
    count: int = 12,
    *,
    rate: int = 16_000,
    groups: int = 0,
    extra_rows: Sequence[Mapping[str, object] | str] = (),
) -> Path:
    """A manifest of `count` sound rows (grouped round robin into `groups`), then `extra_rows` as they are."""
    lines: list[str] = []
    for i in range(count):
        text = line(i)
        write_tone(folder / f"wav/r{i:03d}.wav", len(text) / CHARACTERS_A_SEC, rate=rate, hz=120 + 10 * i)
        row = {"audio": f"wav/r{i:03d}.wav", "text": text, "speaker": "ada"}
        lines.append(json.dumps(row | ({"group": f"g{i % groups}"} if groups else {})))
    lines += [row if isinstance(row, str) else json.dumps(row) for row in extra_rows]
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
