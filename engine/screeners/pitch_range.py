"""How far the pitch moves: a voice that hardly does sounds read off, monotone."""

from __future__ import annotations

import math

from engine.screeners.heard import Better, Heard, score
from engine.types import Score

NARROWEST = 1.5  # semitones from the 10th to the 90th percentile
SHRUNK = 0.5  # of the base's range on the same line


class PitchRange:
    name = "pitch_range"
    version = 1
    unit = "semitones"
    better: Better = "neither"
    title = "Pitch range"
    about = "How far the pitch moves up and down while speaking. Little of it sounds monotone."
    serves = ("monotone",)

    def __call__(self, heard: Heard) -> Score:
        """Semitones between the 10th and the 90th percentile of F0; flagged when narrow in itself and beside the
        base's.
        """
        found = heard.profile.f0_range
        if math.isnan(found):
            return score(self, heard, value=found, passed=None, explanation="Nothing in this clip has a pitch.")
        told = f"The pitch moves over {found:.1f} semitones"
        base = heard.base.f0_range if heard.base else math.nan
        if math.isnan(base):
            return score(self, heard, value=found, passed=found >= NARROWEST, explanation=f"{told}.")
        passed = found >= NARROWEST or found >= SHRUNK * base
        return score(self, heard, value=found, passed=passed, explanation=f"{told}, the base's over {base:.1f}.")
