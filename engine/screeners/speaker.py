"""Is this still a voice of that speaker? Likeness to the recorded target, and to the base, by numbers of a voice.

Knows distances between `engine.voice_vector`'s vectors: an own, small embedding (20 mel cepstra and F0, each in units
of how much it varies within one reader). Trained embeddings tell more; their libraries download weights or ship them
as pickles. It tells voices of another pitch or throat apart; two readers who sound alike stay one to it.
"""

from __future__ import annotations

import math

from engine.screeners.heard import Better, Heard, score
from engine.types import Score

# Log odds that two clips are of one speaker, by their distance: fitted to clips of synthetic and recorded voices.
ODDS_AT_NONE, ODDS_A_SPREAD = 7.4, 4.0


class Speaker:
    name = "speaker"
    version = 1
    unit = "%"
    better: Better = "neither"
    title = "Likeness to the speaker"
    about = (
        "How likely it is that this is the recorded speaker, by pitch and timbre, and how likely that it is the base."
    )
    serves = ("wrong timbre",)

    def __call__(self, heard: Heard) -> Score:
        """Likeness to the target in per cent; to the base where there is no target."""
        if heard.target is None and heard.base is None:
            told = "There is no recording of the target and no base clip to compare with."
            return score(self, heard, value=math.nan, passed=None, explanation=told)
        target = likeness(heard.profile.speaker, heard.target.speaker) if heard.target else math.nan
        base = likeness(heard.profile.speaker, heard.base.speaker) if heard.base else math.nan
        if math.isnan(target) and math.isnan(base):
            told = "There is too little speech to tell the speaker."
            return score(self, heard, value=math.nan, passed=None, explanation=told)
        parts = [
            f"{value:.0f} % like {whose}"
            for value, whose in ((target, "the target"), (base, "the base"))
            if value == value
        ]
        value = base if math.isnan(target) else target
        return score(self, heard, value=value, passed=None, explanation=f"The voice is {' and '.join(parts)}.")


def likeness(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Per cent, from the distance of two speaker vectors; NaN when one of them is not known."""
    from engine import voice_vector

    apart = voice_vector.apart(one, other)
    return math.nan if math.isnan(apart) else 100.0 / (1.0 + math.exp(ODDS_A_SPREAD * apart - ODDS_AT_NONE))
