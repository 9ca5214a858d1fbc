"""How loud the clip is, by ITU-R BS.1770. Knows levels and nothing of speech."""

from __future__ import annotations

import math

from engine import audio
from engine.screeners.heard import Better, Heard, score
from engine.types import Score

QUIETEST_LUFS, LOUDEST_LUFS = -35.0, -10.0  # outside, a listener reaches for the volume


class Loudness:
    name = "loudness"
    version = 1
    unit = "LUFS"
    better: Better = "neither"
    title = "Loudness"
    about = "How loud the clip is as a whole. Blind trials are levelled, so this matters for what is exported."
    serves = ("other",)

    def __call__(self, heard: Heard) -> Score:
        """Integrated loudness in LUFS (BS.1770-4)."""
        found = audio.loudness_lufs(heard.samples, heard.sample_rate)
        if not math.isfinite(found):
            return score(self, heard, value=math.nan, passed=False, explanation="The clip is silent.")
        passed = QUIETEST_LUFS <= found <= LOUDEST_LUFS
        side = "" if passed else ", very quiet" if found < QUIETEST_LUFS else ", very loud"
        return score(self, heard, value=found, passed=passed, explanation=f"The loudness is {found:.1f} LUFS{side}.")
