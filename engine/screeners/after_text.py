"""Talking on: speech after the last word of the text, the sign of a voice that did not find its end."""

from __future__ import annotations

import math

from engine.screeners.heard import Better, Heard, score
from engine.types import Score

LONGEST_SEC = 0.35  # a breath or a click that sounds like two phonemes is shorter


class AfterText:
    name = "after_text"
    version = 3
    unit = "s"
    better: Better = "less"
    title = "Talking on"
    about = "Whether the voice goes on speaking after the last word of the text, and for how long."
    serves = ("inserted speech",)

    def __call__(self, heard: Heard) -> Score:
        """Seconds of added or repeated speech after the last word that belongs to the text."""
        if not heard.follows:
            return score(self, heard, value=math.nan, passed=None, explanation=heard.why_not)
        said = [n for n, word in enumerate(heard.words) if word.state in ("ok", "wrong", "merged")]
        after = [w for w in heard.words[said[-1] + 1 if said else 0 :] if w.state in ("inserted", "repeated")]
        seconds = sum(word.end_sec - word.start_sec for word in after)
        if not after:
            return score(self, heard, value=0.0, passed=True, explanation="Nothing is said after the text.")
        told = f"{seconds:.1f} s of speech after the text: {' '.join(word.text for word in after[:6])}."
        return score(self, heard, value=seconds, passed=seconds <= LONGEST_SEC, explanation=told)
