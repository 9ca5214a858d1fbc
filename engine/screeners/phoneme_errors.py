"""The phoneme error rate by the ear: what share of the sounds came out otherwise than the text asks."""

from __future__ import annotations

import math

from engine.screeners.heard import Better, Heard, score
from engine.types import Score

GOOD_PERCENT = 20.0
BAD_PERCENT = 30.0


class PhonemeErrors:
    name = "phoneme_errors"
    version = 2
    unit = "%"
    better: Better = "less"
    title = "Phoneme errors"
    about = "How many of the text's sounds came out as others, were left out or were added."
    serves = ("dropped word", "accent drift", "other")

    def __call__(self, heard: Heard) -> Score:
        """Phoneme error rate in per cent: good up to 20, bad from 30 on, in between for people to say."""
        errors = heard.errors
        is_strange = heard.ear is not None and not heard.ear.at_home and not heard.follows
        if errors is None or is_strange:
            return score(self, heard, value=math.nan, passed=None, explanation=heard.why_not)
        passed = True if errors.percent <= GOOD_PERCENT else False if errors.percent >= BAD_PERCENT else None
        told = (
            f"{errors.percent:.0f} % of {errors.expected} phonemes are off by the ear: {errors.substituted} changed, "
            f"{errors.deleted} missing, {errors.inserted} added."
        )
        return score(self, heard, value=errors.percent, passed=passed, explanation=told)
