"""References: the audio prompts of zero-shot cloning, kept in the workspace by content, each with its transcript.

Knows a copy of the file as it came (never resampled: a backend reads it as it needs) and a JSON file beside it, written
last. Knows no voice: which backend takes a reference is its own business. Nothing here is changed or removed, since
clips name what they were spoken with.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import audio, durable
from engine.types import BadInput, NotFound, Reference

MIN_SEC, MAX_SEC = 1.0, 30.0  # shorter ones have no voice to follow, longer ones leave a model no room for the text
QUIET = 1e-3  # of full scale: a file whose loudest sample is below says nothing
SHORT_ID = 12  # characters of a hash that people type


@dataclass(frozen=True, kw_only=True)
class KeptReference:
    """A reference of the workspace: what people call it, how long it is, and where it came from."""

    reference: Reference
    name: str
    duration_sec: float
    source: str
    kept_at: float

    @property
    def id(self) -> str:
        return self.reference.sha256[:SHORT_ID]


def sha256(path: Path, text: str) -> str:
    """The identity of a reference: of its file's bytes and its transcript."""
    return hashlib.sha256(f"{durable.file_sha256(path)}\0{text}".encode()).hexdigest()


def keep(folder: Path, path: Path, text: str, *, name: str = "", source: str = "", now: float) -> KeptReference:
    """Copy an audio prompt into the workspace; the same file with the same words is kept once.

    Raises BadInput, naming the file and the mend, for one that is no audio, too short, too long or silent.
    """
    text = " ".join(text.split())
    info = audio.probe(path)
    if not MIN_SEC <= info.duration_sec <= MAX_SEC:
        raise BadInput(
            f"{path.name} is {info.duration_sec:.1f} s long; a reference has {MIN_SEC:g} to {MAX_SEC:g} s, and 5 to "
            "15 s of one voice are best: cut it."
        )
    if float(abs(audio.read(path)[0]).max()) < QUIET:
        raise BadInput(f"{path.name} is silent; choose a recording of the voice.")
    key = sha256(path, text)
    if (known := _read(folder, key)) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{key}{path.suffix.lower()}"
    building = folder / f".{key}.tmp"
    shutil.copyfile(path, building)
    durable.rename(building, target)
    told = {
        "file": target.name,
        "text": text,
        "name": name.strip() or path.stem,
        "duration_sec": info.duration_sec,
        "source": source or str(path),
        "kept_at": now,
    }
    durable.write_bytes(folder / f"{key}.json", json.dumps(told, indent=1, ensure_ascii=False).encode())
    return load(folder, key)


def listing(folder: Path) -> list[KeptReference]:
    """Every whole reference, the latest first."""
    found = [_read(folder, path.stem) for path in folder.glob("*.json")]
    return sorted((each for each in found if each is not None), key=lambda each: -each.kept_at)


def load(folder: Path, name: str) -> KeptReference:
    """A reference by its hash, the beginning of it, or its name. Raises NotFound with the known ones, BadInput where
    several are meant.
    """
    known = listing(folder)
    found = [each for each in known if each.reference.sha256 == name] or [
        each for each in known if each.name == name or (len(name) >= 6 and each.reference.sha256.startswith(name))
    ]
    if not found:
        told = ", ".join(f"{each.name} ({each.id})" for each in known) or "none yet"
        raise NotFound(f"There is no reference {name!r} in this workspace; there are: {told}.")
    if len(found) > 1:
        raise BadInput(f"Several references are called {name!r}: {', '.join(each.id for each in found)}; name one.")
    return found[0]


def _read(folder: Path, key: str) -> KeptReference | None:
    """What is kept under a hash; None unless all of it is there."""
    try:
        told: Mapping[str, Any] = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        path = folder / str(told["file"])
        return (
            KeptReference(
                reference=Reference(audio_path=path, text=str(told["text"]), sha256=key),
                name=str(told["name"]),
                duration_sec=float(told["duration_sec"]),
                source=str(told["source"]),
                kept_at=float(told["kept_at"]),
            )
            if path.is_file()
            else None
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
