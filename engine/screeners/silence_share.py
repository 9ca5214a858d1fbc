"""How much of the time between the first and the last sound is silent. Knows levels and nothing of words."""

from __future__ import annotations

import numpy as np

from engine.screeners import acoustics
from engine.screeners.heard import Better, Heard, score
from engine.types import Score

MOST_PERCENT = 45.0


class SilenceShare:
    name = "silence_share"
    version = 1
    unit = "%"
    better: Better = "less"
    title = "Share of silence"
    about = "How much of the clip, from its first to its last sound, is pauses."
    serves = ("too slow",)

    def __call__(self, heard: Heard) -> Score:
        """Per cent of the 10 ms frames between the first and the last sound that are silent."""
        active = acoustics.active(heard.samples, heard.sample_rate)
        sounding = np.flatnonzero(active)
        if not len(sounding):
            return score(self, heard, value=100.0, passed=False, explanation="The clip is silent.")
        share = 100.0 * (1 - float(active[sounding[0] : sounding[-1] + 1].mean()))
        told = f"{share:.0f} % of the time between the first and the last sound is silent."
        return score(self, heard, value=share, passed=share <= MOST_PERCENT, explanation=told)
