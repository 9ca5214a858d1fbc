"""The clip cache: audio by content key, so that what was rendered once is never rendered again.

Knows a FLAC file and a JSON file of facts per key, the JSON written last: a key with a JSON file is whole, whatever
died in between. Speech tokens, where a model tells them, lie beside it (`clip_tokens`). Knows nothing of candidates or
of how audio is made.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import audio, clip_tokens, disk, durable, harness
from engine.types import DiskFull, Speech

CACHE_VERSION = 1
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
    """What is known of a key in the cache (recipe, sample_rate, duration_sec, stop, chunks, render_sec); else None."""
    try:
        facts = json.loads(_facts_path(clips, clip_key).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    path = audio_path(clips, clip_key)
    is_ours = isinstance(facts, dict) and facts.get("key") == clip_key
    return facts if is_ours and path.is_file() and path.stat().st_size == facts.get("audio_bytes") else None


def listing(clips: Path) -> Iterator[dict[str, Any]]:
    """What is known of every whole key in the cache, in the order of keys."""
    for path in sorted(clips.glob("*.json")):
        if (facts := find(clips, path.stem)) is not None:
            yield facts


def publish(clips: Path, recipe: Mapping[str, Any], spoken: Sequence[Speech], *, rendered_at: float) -> dict[str, Any]:
    """Join the chunks of a clip, write the audio, then its facts, and return these. Raises DiskFull, tears nothing."""
    clip_key = key(recipe)
    speech = harness.joined(spoken)
    silence = np.zeros(max(0, round(MIN_SEC * speech.sample_rate) - len(speech.samples)), np.float32)
    samples = np.concatenate([speech.samples, silence])
    facts: dict[str, Any] = {
        "key": clip_key,
        "recipe": dict(recipe),
        "sample_rate": speech.sample_rate,
        "duration_sec": len(samples) / speech.sample_rate,
        "stop": speech.stop.value,
        "chunks": len(spoken),
        "tokens": speech.tokens,
        "attempts": speech.attempts,
        "render_sec": speech.render_sec,
        "rendered_at": rendered_at,
    }
    try:
        audio.write(audio_path(clips, clip_key), samples, speech.sample_rate)
        clip_tokens.write(audio_path(clips, clip_key), spoken)
        facts["audio_bytes"] = audio_path(clips, clip_key).stat().st_size
        told = json.dumps(facts, indent=1, sort_keys=True, allow_nan=False)
        durable.write_bytes(_facts_path(clips, clip_key), told.encode())
    except (OSError, RuntimeError) as error:  # soundfile tells a full disk as a RuntimeError of its own
        if getattr(error, "errno", None) == errno.ENOSPC or disk.free_bytes(clips) < FULL_BYTES:
            raise DiskFull(
                f"The disk with {clips} is full; free some space and sweep again: finished clips are kept."
            ) from error
        raise
    return facts


def check_space(clips: Path, needed_bytes: int) -> None:
    """Raises DiskFull when the disk of `clips` is too small for what is about to be rendered."""
    if needed_bytes:
        existing = next(folder for folder in (clips, *clips.resolve().parents) if folder.exists())
        disk.must_fit(clips, needed_bytes, free=disk.free_bytes(existing), what="the sweep")


def _facts_path(clips: Path, clip_key: str) -> Path:
    return clips / f"{clip_key}.json"
