"""Silence at the start, at the end, and the longest pause inside. Knows levels and nothing of words."""

from __future__ import annotations

import numpy as np

from engine.screeners import acoustics
from engine.screeners.heard import Better, Heard, score
from engine.types import Score

LEADING_SEC, INNER_SEC, TRAILING_SEC = 1.0, 1.5, 1.5


class Silence:
    name = "silence"
    version = 1
    unit = "s"
    better: Better = "less"
    title = "Silence"
    about = "How long it is silent at the start, at the end, and at the longest pause inside."
    serves = ("too slow", "onset")

    def __call__(self, heard: Heard) -> Score:
        """The longest inner pause in seconds; flagged when it, the start or the end is silent for too long."""
        sounding = np.flatnonzero(acoustics.active(heard.samples, heard.sample_rate))
        if not len(sounding):
            return score(self, heard, value=heard.duration_sec, passed=False, explanation="The clip is silent.")
        leading = float(sounding[0]) * acoustics.FRAME_SEC
        trailing = max(0.0, heard.duration_sec - float(sounding[-1] + 1) * acoustics.FRAME_SEC)
        inner = float(np.diff(sounding).max(initial=1) - 1) * acoustics.FRAME_SEC
        faults = [
            f"{what} {seconds:.1f} s, more than {limit:g}"
            for what, seconds, limit in (
                ("silence at the start", leading, LEADING_SEC),
                ("a pause inside of", inner, INNER_SEC),
                ("silence at the end", trailing, TRAILING_SEC),
            )
            if seconds > limit
        ]
        told = f"The longest pause inside is {inner:.1f} s; {leading:.1f} s of silence before, {trailing:.1f} s after."
        return score(
            self,
            heard,
            value=inner,
            passed=not faults,
            explanation=f"Too silent: {'; '.join(faults)}." if faults else told,
        )
