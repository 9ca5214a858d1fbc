"""How far speech stands above what is heard in its pauses. Knows levels and nothing of words."""

from __future__ import annotations

import math

import numpy as np

from engine.screeners import acoustics
from engine.screeners.heard import Better, Heard, score
from engine.types import Score

LEAST_DB = 25.0  # speech over its pauses: below, hiss or hum is heard
FEWEST_PAUSES = 0.03  # of the frames: without pauses nothing is known of the floor
EDGE_SEC = 0.05  # frames beside speech still ring


class Noise:
    name = "noise"
    version = 1
    unit = "dB"
    better: Better = "more"
    title = "Noise"
    about = "How far the speech stands above the hiss, hum or rustle that is heard in its pauses."
    serves = ("noise",)

    def __call__(self, heard: Heard) -> Score:
        """Decibels between the loud level (95th percentile of 10 ms frames) and the median of the pauses' frames."""
        levels = acoustics.levels(heard.samples, heard.sample_rate)
        loud = float(np.quantile(levels, 0.95))
        if loud < acoustics.FLOOR_RMS:
            return score(self, heard, value=math.nan, passed=None, explanation="The clip is silent.")
        # Not by the usual limit of silence: where noise fills the pauses, nothing would be below it.
        quiet = levels < max(1e-9, float(np.quantile(levels, 0.05))) * 2.5
        if quiet.mean() < FEWEST_PAUSES or float(np.median(levels[quiet])) > loud / 3:
            told = "There is no pause in which noise could be told from speech."
            return score(self, heard, value=math.nan, passed=None, explanation=told)
        floor = max(1e-9, float(np.median(levels[quiet])))
        found = min(96.0, 20 * math.log10(loud / floor))
        told = f"Speech stands {found:.0f} dB above its pauses ({20 * math.log10(floor):.0f} dBFS)"
        passed = found >= LEAST_DB
        return score(self, heard, value=found, passed=passed, explanation=f"{told}{'' if passed else ': noisy'}.")
