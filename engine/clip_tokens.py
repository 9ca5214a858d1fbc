"""The speech tokens of a clip, beside its audio in the cache: what its model drew for each chunk, and the reference's.

Knows one small JSON file a key, of a version of its own. A clip of a model that tells no tokens has none, nor has one
that was rendered before they were kept: None is "not known", never "nothing was said".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from engine import durable
from engine.types import Speech, SpeechTokens

TOKENS_VERSION = 1  # of the file; one of another version is not known
SUFFIX = ".tokens"


def path_of(audio_path: Path) -> Path:
    """Where the tokens of a clip lie."""
    return audio_path.with_suffix(SUFFIX)


def write(audio_path: Path, spoken: Sequence[Speech]) -> None:
    """Keep the tokens of a clip's chunks; nothing where its model tells none."""
    told = [speech.speech_tokens for speech in spoken if speech.speech_tokens is not None]
    if not told or len(told) < len(spoken):
        return
    kept = {
        "version": TOKENS_VERSION,
        "rate_hz": told[0].rate_hz,
        "reference": told[0].reference,  # all chunks go on from the same one
        "chunks": [chunk.said for chunk in told],
    }
    durable.write_bytes(path_of(audio_path), json.dumps(kept, separators=(",", ":")).encode())


def read(audio_path: Path) -> tuple[SpeechTokens, ...] | None:
    """The tokens of each chunk of a clip, in order; None where they are not known."""
    try:
        kept = json.loads(path_of(audio_path).read_text(encoding="utf-8"))
        if kept["version"] != TOKENS_VERSION:
            return None
        reference, rate_hz = tuple(map(int, kept["reference"])), float(kept["rate_hz"])
        return tuple(
            SpeechTokens(said=tuple(map(int, chunk)), reference=reference, rate_hz=rate_hz) for chunk in kept["chunks"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
