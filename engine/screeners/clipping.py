"""Samples cut off at full scale. Knows the waveform only."""

from __future__ import annotations

import numpy as np

from engine.screeners.heard import Better, Heard, score
from engine.types import Score

FULL_SCALE = 0.9985  # within 50 steps of 16-bit full scale
LIMIT_PERCENT = 0.02
RUN = 3  # samples in a row: a single peak at full scale is not clipped


class Clipping:
    name = "clipping"
    version = 1
    unit = "%"
    better: Better = "less"
    title = "Clipping"
    about = "Samples cut off at full scale, heard as crackling."
    serves = ("noise",)

    def __call__(self, heard: Heard) -> Score:
        """Per cent of samples that stand at full scale in runs of three or more."""
        full = np.abs(heard.samples) >= FULL_SCALE
        edges = np.flatnonzero(np.diff(np.concatenate([[False], full, [False]]).astype(np.int8)))
        runs = edges[1::2] - edges[::2]
        percent = 100.0 * float(runs[runs >= RUN].sum()) / max(1, len(heard.samples))
        passed = percent <= LIMIT_PERCENT
        told = f"{percent:.2f} % of the samples are cut off at full scale." if percent else "No sample is cut off."
        return score(self, heard, value=percent, passed=passed, explanation=told)
