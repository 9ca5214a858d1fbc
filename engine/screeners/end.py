"""Did the voice end by itself, or was it cut at its cap? Knows only what generation said."""

from __future__ import annotations

from engine.screeners.heard import Better, Heard, score
from engine.types import Score, Stop


class End:
    name = "end"
    version = 1
    unit = "ended"
    better: Better = "more"
    title = "End"
    about = "Whether the voice stopped by itself or had to be cut off."
    serves = ("inserted speech",)

    def __call__(self, heard: Heard) -> Score:
        """1 when every chunk ended by itself, 0 when one ran into the cap; not judged for a file of unknown making."""
        if heard.stop is None:
            return score(
                self,
                heard,
                value=float("nan"),
                passed=None,
                explanation="It is not known how this file's speech ended.",
            )
        ended = heard.stop is Stop.EOS
        told = (
            "The voice ended by itself."
            if ended
            else "The voice did not end by itself: it was cut at its cap, a runaway."
        )
        return score(self, heard, value=float(ended), passed=ended, explanation=told)
