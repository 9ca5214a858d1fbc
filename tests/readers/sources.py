"""What people bring, made small for tests: recordings of a tenth of a second and what lies beside them."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from engine.types import AuditFinding, Manifest

RATE = 8_000


def sound(path: Path, seconds: float = 0.1) -> Path:
    """A 16-bit WAV of silence, written byte by byte: no library, so that thousands cost nothing."""
    count = round(seconds * RATE)
    data = b"\0\0" * count
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) + b"data" + struct.pack("<I", len(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + data)
    return path


def snapshot(folder: Path) -> dict[str, str]:
    """Every file's checksum and every link's target: equal before and after means untouched."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
    return found


def texts(manifest: Manifest) -> dict[str, str]:
    return {u.id: u.text for u in manifest.utterances}


def faults(manifest: Manifest) -> list[tuple[str, str]]:
    """(row, check) of each finding."""
    return [(f.row, f.check) for f in manifest.faults]


def only(manifest: Manifest) -> AuditFinding:
    assert len(manifest.faults) == 1, manifest.faults
    return manifest.faults[0]
