"""Speaking rate against the base's on the same line. Dropped words make a clip fast, runaways make it slow."""

from __future__ import annotations

import math

from engine.screeners.heard import Better, Heard, score
from engine.types import Score

SLOWEST, FASTEST = 0.7, 1.4  # of the base's rate; targets of their own tempo stay inside


class Rate:
    name = "rate"
    version = 3
    unit = "1/s"
    better: Better = "neither"
    title = "Speaking rate"
    about = "How fast it is spoken, beside the base voice saying the same line."
    serves = ("too fast", "too slow")

    def __call__(self, heard: Heard) -> Score:
        """Phonemes of the text a second of speech, silence before and after left out; letters where no ear is there."""
        found, base, units = self._rates(heard)
        if math.isnan(found):
            told = "Nothing in this clip can be counted as speech."
            return score(self, heard, value=found, passed=False, explanation=told)
        told = f"{found:.1f} {units} a second"
        if math.isnan(base):
            told = f"{told}; there is no base clip to compare with."
            return score(self, heard, value=found, passed=None, explanation=told)
        ratio = found / base
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

    def _rates(self, heard: Heard) -> tuple[float, float, str]:
        own, base = heard.profile, heard.base
        if heard.errors is not None:
            return own.phonemes_per_sec, base.phonemes_per_sec if base else math.nan, "phonemes"
        return own.letters_per_sec, base.letters_per_sec if base else math.nan, "letters"
