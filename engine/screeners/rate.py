"""Speaking rate against the base's on the same line. Dropped words make a clip fast, runaways make it slow."""

from __future__ import annotations

import math

from engine.screeners.heard import Heard, score
from engine.types import Score

SLOWEST, FASTEST = 0.7, 1.4  # of the base's rate; targets of their own tempo stay inside


class Rate:
    name = "rate"
    version = 1
    unit = "phonemes/s"
    title = "Speaking rate"
    about = "How fast it is spoken, beside the base voice saying the same line."
    serves = ("too fast", "too slow")

    def __call__(self, heard: Heard) -> Score:
        """Phonemes of the text a second of speech, silence before and after left out."""
        found = heard.profile.phonemes_per_sec
        if math.isnan(found):
            why = (
                "No ear is there to count phonemes."
                if heard.ear is None
                else "Nothing in this clip can be counted as speech."
            )
            return score(self, heard, value=found, passed=None if heard.ear is None else False, explanation=why)
        told = f"{found:.1f} phonemes a second"
        if heard.base is None or math.isnan(heard.base.phonemes_per_sec):
            return score(
                self, heard, value=found, passed=None, explanation=f"{told}; there is no base clip to compare with."
            )
        ratio = found / heard.base.phonemes_per_sec
        passed = SLOWEST <= ratio <= FASTEST
        verdict = "" if passed else ", much faster than the base" if ratio > 1 else ", much slower than the base"
        return score(
            self,
            heard,
            value=found,
            passed=passed,
            explanation=f"{told}, {100 * ratio:.0f} % of the base's rate{verdict}.",
            reasons={} if passed else {"too fast" if ratio > 1 else "too slow": ()},
        )
