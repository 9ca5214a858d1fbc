"""What rendering costs here: seconds and bytes for a second of audio, learnt from clips that were rendered before.

Knows clips and how long a text is expected to take. Knows no plan and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine import harness, segmentation
from engine.types import Clip

LEARNT_FROM = 200  # the latest clips of a backend: enough to know its pace, and few enough to look at


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What rendering costs: time and bytes for a second of audio, and how much audio a second of expected speech
    becomes. The numbers are those of the built-in voice on two CPU cores, until there are clips to learn from.
    """

    render_sec: float = 0.06
    bytes: float = 30_000.0  # of 16-bit mono FLAC at 24 kHz, rounded up
    audio_sec: float = 1.0


def learnt(clips: Sequence[Clip]) -> dict[str, Pace]:
    """What rendering has cost here, by backend, from the latest clips of each whose files are there."""
    found: dict[str, Pace] = {}
    for backend in {clip.candidate.backend for clip in clips}:
        own = [clip for clip in clips if clip.candidate.backend == backend and clip.path.is_file()][-LEARNT_FROM:]
        audio_sec = sum(clip.duration_sec for clip in own)
        hoped_sec = sum(expected_sec(clip.text, clip.chunks) for clip in own)
        if audio_sec > 0 and hoped_sec > 0:
            found[backend] = Pace(
                render_sec=sum(clip.render_sec for clip in own) / audio_sec,
                bytes=sum(clip.path.stat().st_size for clip in own) / audio_sec,
                audio_sec=audio_sec / hoped_sec,
            )
    return found


def expected_sec(text: str, chunks: int) -> float:
    """How long a text is expected to be in ordinary speech, in so many chunks with pauses between them."""
    return segmentation.expected_sec(text) + harness.PAUSE_SEC * (chunks - 1)
