"""The median F0, and how far it is from the target's. A fact: whether a pitch is right is for ears to say."""

from __future__ import annotations

import math

from engine.screeners.heard import Better, Heard, score
from engine.types import Score


class Pitch:
    name = "pitch"
    version = 1
    unit = "Hz"
    better: Better = "neither"
    title = "Pitch"
    about = "How high the voice is, beside the target."
    serves = ("wrong timbre", "accent drift")

    def __call__(self, heard: Heard) -> Score:
        """Median F0 in Hz; the explanation gives the distance to the target in semitones."""
        found = heard.profile.f0_hz
        if math.isnan(found):
            return score(self, heard, value=found, passed=None, explanation="Nothing in this clip has a pitch.")
        told = f"The median pitch is {found:.0f} Hz"
        if heard.target and not math.isnan(heard.target.f0_hz):
            semitones = 12 * math.log2(found / heard.target.f0_hz)
            side = "above" if semitones > 0 else "below"
            told += f", {abs(semitones):.1f} semitones {side} the target's {heard.target.f0_hz:.0f} Hz"
        return score(self, heard, value=found, passed=None, explanation=f"{told}.")
