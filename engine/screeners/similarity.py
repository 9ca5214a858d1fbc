"""How far the timbre has gone from the base towards the target: a projection, not a judgement of likeness.

Knows mean mel cepstra. 0 % is the base's voice on the same line, 100 % the recorded target; a voice that is neither
has a small projection and a large distance, so the explanation tells both, and the pitch's way beside it.
"""

from __future__ import annotations

import math

import numpy as np

from engine.screeners.heard import Better, Heard, score
from engine.screeners.voice_profile import Profile
from engine.types import Score


class Similarity:
    name = "similarity"
    version = 1
    unit = "%"
    better: Better = "neither"
    title = "Way to the target"
    about = "How far the timbre has gone from the base voice towards the target."
    serves = ("wrong timbre",)

    def __call__(self, heard: Heard) -> Score:
        """(clip - base) . (target - base) / |target - base|^2 in per cent, each coefficient in units of the base's
        spread.
        """
        if heard.target is None or heard.base is None:
            missing = "target" if heard.target is None else "base clip of this line"
            return score(
                self, heard, value=math.nan, passed=None, explanation=f"There is no {missing} to compare with."
            )
        value, off = projection(heard.profile, heard.base, heard.target)
        if math.isnan(value):
            return score(self, heard, value=value, passed=None, explanation="This clip has no speech to compare.")
        told = f"The timbre has gone {value:.0f} % of the way from the base to the target"
        way = pitch_way(heard.profile, heard.base, heard.target)
        if not math.isnan(way):
            told += f", the pitch {way:.0f} %"
        told += f"; {off:.0f} % of that way off to the side"
        return score(self, heard, value=value, passed=None, explanation=f"{told}.")


def projection(clip: Profile, base: Profile, target: Profile) -> tuple[float, float]:
    """Per cent along the way from `base` to `target`, and per cent off to the side of it. NaN when a profile has no
    speech.
    """
    spread = np.maximum(np.asarray(base.spread), 1e-6)
    way = (np.asarray(target.cepstrum) - np.asarray(base.cepstrum)) / spread
    gone = (np.asarray(clip.cepstrum) - np.asarray(base.cepstrum)) / spread
    length = float(way @ way)
    if not length > 0:
        return math.nan, math.nan
    along = float(gone @ way) / length
    return 100 * along, 100 * float(np.linalg.norm(gone - along * way)) / math.sqrt(length)


def pitch_way(clip: Profile, base: Profile, target: Profile) -> float:
    """Per cent of the way from the base's to the target's log F0; NaN when unknown or when they are within half a
    semitone.
    """
    way = math.log(target.f0_hz / base.f0_hz) if base.f0_hz > 0 and target.f0_hz > 0 else math.nan
    if not abs(way) > math.log(2) / 24:
        return math.nan
    return 100 * math.log(clip.f0_hz / base.f0_hz) / way if clip.f0_hz > 0 else math.nan
