"""Real speech for tests of the audit, spoken on the spot by espeak-ng: texts, samples, and sets of them on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine import audio, audit, needs, readers
from engine.types import AuditReport, Manifest

Samples = NDArray[np.float32]
RATE = 16_000
NEEDS = replace(needs.of("finch"), unpronounceable=None)


@dataclass(frozen=True)
class Spoken:
    """One recorded line at 16 kHz."""

    id: str
    text: str
    samples: Samples


def read(manifest: Path) -> list[Spoken]:
    """The lines of a set of the built-in demo voice."""
    return [Spoken(u.id, u.text, audio.read(u.audio_path)[0]) for u in readers.read(manifest).utterances]


def write(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Manifest:
    """A set on disk: each row has `text`, `samples` or `audio` (a file's name), and whatever fields a manifest has."""
    lines = []
    for number, row in enumerate(rows):
        fields = {k: v for k, v in row.items() if k not in ("samples", "rate")}
        fields.setdefault("audio", f"clips/{row.get('id', f'r{number:03d}')}.wav")
        if "samples" in row:
            path = folder / fields["audio"]
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, row["samples"], row.get("rate", RATE))
        lines.append(json.dumps(fields, ensure_ascii=False))
    path = folder / "manifest.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return readers.read(path)


def rows(spoken: Sequence[Spoken]) -> list[dict[str, Any]]:
    """Rows of a sound set, to be spoiled."""
    return [{"id": one.id, "text": one.text, "samples": one.samples} for one in spoken]


def found(report: AuditReport, row: str) -> dict[str, str]:
    """Check -> severity of what was found at a row."""
    return {f.check: str(f.severity) for f in report.findings if f.row == row}


def audited(manifest: Manifest, **options: Any) -> AuditReport:
    """An audit for the built-in voice, in this process."""
    return audit.audit(manifest, options.pop("needs", NEEDS), **({"workers": 0} | options))
