"""Is the beginning distorted? The first 0.3 s of sound against the rest of the clip and against the base's beginning.

Knows how far (`beginnings`) is too far. A line may begin with a rare sound, so what the base has on the same line
counts as usual for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.screeners.heard import Better, Heard, score
from engine.types import Score

if TYPE_CHECKING:
    pass

FAR = 4.5  # spreads: clean beginnings of synthetic and recorded speech stay below
BEYOND_BASE = 2.0  # spreads more than the base's beginning of this line


class Onset:
    name = "onset"
    version = 1
    unit = "spreads"
    better: Better = "less"
    title = "Beginning"
    about = "Whether the first 0.3 seconds sound unlike the rest: a click, a burst, a rasp or a swallowed start."
    serves = ("onset",)

    def __call__(self, heard: Heard) -> Score:
        """Distance of the first 0.3 s of sound from the clip's other windows, in their spreads (root mean square)."""
        found = heard.profile.onset
        if math.isnan(found):
            told = "The clip is too short to tell its beginning from the rest."
            return score(self, heard, value=found, passed=None, explanation=told)
        base = heard.base.onset if heard.base else math.nan
        usual = FAR if math.isnan(base) else max(FAR, base + BEYOND_BASE)
        told = f"The first 0.3 s lie {found:.1f} usual spreads from the rest of the clip"
        if not math.isnan(base):
            told += f", the base's {base:.1f}"
        return score(self, heard, value=found, passed=found <= usual, explanation=f"{told}.")
