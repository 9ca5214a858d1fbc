"""The clip cache: audio by content key, so that what was rendered once is never rendered again.

Knows a FLAC file and a JSON file of facts per key, the JSON written last: a key with a JSON file is whole, whatever
died in between. Knows nothing of candidates or of how audio is made.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import audio, harness
from engine.types import DiskFull, Speech

CACHE_VERSION = 1
SPARE_BYTES = 64 * 2**20  # left free on the disk, for the database and a running training
FULL_BYTES = 2**20  # with less than this free, a failed write failed for want of space
MIN_SEC = 0.1  # a voice that said nothing at all gives so much silence: an empty file would be no audio


def key(recipe: Mapping[str, Any]) -> str:
    """The content key: sha256 of the canonical JSON of everything that a clip's audio depends on, and of nothing
    else.
    """
    canonical = json.dumps(recipe, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def audio_path(clips: Path, clip_key: str) -> Path:
    """Where the audio of a key lies."""
    return clips / f"{clip_key}.flac"


def find(clips: Path, clip_key: str) -> dict[str, Any] | None:
    """The facts of a key that is in the cache: its recipe, sample_rate, duration_sec, stop, chunks, render_sec. Else
    None.
    """
    try:
        facts = json.loads(_facts_path(clips, clip_key).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    whole = isinstance(facts, dict) and facts.get("key") == clip_key and audio_path(clips, clip_key).is_file()
    return facts if whole else None


def publish(clips: Path, recipe: Mapping[str, Any], spoken: Sequence[Speech], *, rendered_at: float) -> dict[str, Any]:
    """Join the chunks of one clip, write the audio, then the facts, and return these. Raises DiskFull; nothing is
    torn.
    """
    clip_key = key(recipe)
    speech = harness.joined(spoken)
    silence = np.zeros(max(0, round(MIN_SEC * speech.sample_rate) - len(speech.samples)), np.float32)
    samples = np.concatenate([speech.samples, silence])
    facts = {
        "key": clip_key,
        "recipe": dict(recipe),
        "sample_rate": speech.sample_rate,
        "duration_sec": len(samples) / speech.sample_rate,
        "stop": speech.stop.value,
        "chunks": len(spoken),
        "tokens": speech.tokens,
        "render_sec": speech.render_sec,
        "rendered_at": rendered_at,
    }
    try:
        audio.write(audio_path(clips, clip_key), samples, speech.sample_rate)
        _write_json(_facts_path(clips, clip_key), facts)
    except (OSError, RuntimeError) as error:  # soundfile tells a full disk as a RuntimeError of its own
        if getattr(error, "errno", None) == errno.ENOSPC or shutil.disk_usage(clips).free < FULL_BYTES:
            raise DiskFull(
                f"The disk with {clips} is full; free some space and sweep again: finished clips are kept."
            ) from error
        raise
    return facts


def check_space(clips: Path, needed_bytes: int) -> None:
    """Raises DiskFull when the disk of `clips` is too small for what is about to be rendered."""
    existing = next(folder for folder in (clips, *clips.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if needed_bytes and free < needed_bytes + SPARE_BYTES:
        raise DiskFull(
            f"The sweep needs about {needed_bytes / 2**20:.0f} MB in {clips} and {free / 2**20:.0f} MB are free; "
            "free some space or sweep fewer candidates. Nothing was rendered."
        )


def _facts_path(clips: Path, clip_key: str) -> Path:
    return clips / f"{clip_key}.json"


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    partial = path.with_suffix(f".json.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(facts, file, indent=1, sort_keys=True, allow_nan=False)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
