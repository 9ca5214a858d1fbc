"""Does a long clip stay the same voice at the same pace? Its last third against its first.

Knows where words lie and what voices are like as numbers; judges only clips that are long enough.
"""

from __future__ import annotations

import math

import numpy as np

from engine.screeners.heard import Better, Heard, score
from engine.screeners.speaker import likeness
from engine.types import Score

SHORTEST_SEC = 15.0
RATE_PERCENT = 30.0  # faster or slower than the first third, from which on it is flagged
LEAST_LIKE_PERCENT = 30.0


class LongForm:
    name = "long_form"
    version = 3
    unit = "%"
    better: Better = "neither"
    title = "Drift in long clips"
    about = "Whether a long clip ends in the same voice and at the same pace in which it began."
    serves = ("too fast", "too slow", "wrong timbre", "accent drift")

    def __call__(self, heard: Heard) -> Score:
        """Change of the speaking rate from the first third to the last in per cent; the likeness of the two is told."""
        if heard.duration_sec < SHORTEST_SEC:
            told = f"A clip of less than {SHORTEST_SEC:g} s has no long form."
            return score(self, heard, value=math.nan, passed=None, explanation=told)
        change = self._change(heard)
        alike = self._alike(heard)
        if math.isnan(change) and math.isnan(alike):
            told = "Neither words nor the voice can be followed to the end."
            return score(self, heard, value=math.nan, passed=None, explanation=told)
        faults: dict[str, str] = {}
        if abs(change) > RATE_PERCENT:
            faults["too fast" if change > 0 else "too slow"] = f"it gets {'faster' if change > 0 else 'slower'}"
        if alike < LEAST_LIKE_PERCENT:
            faults["wrong timbre"] = "the voice changes"
        parts = [
            f"the rate changes by {change:+.0f} %" if not math.isnan(change) else "the rate cannot be judged",
            f"the voice stays {alike:.0f} % like itself" if not math.isnan(alike) else "the voice cannot be judged",
        ]
        said = f"From the first third to the last {' and '.join(parts)}"
        told = f"{said}{': ' if faults else ''}{'; '.join(faults.values())}."
        reasons: dict[str, tuple[str, ...]] = dict.fromkeys(faults, ())
        return score(self, heard, value=change, passed=not faults, explanation=told, reasons=reasons)

    def _change(self, heard: Heard) -> float:
        """Characters a sounding second of the words in the last third against the first, in per cent."""
        if not heard.follows:
            return math.nan
        rates = [self._rate(heard, part / 3, (part + 1) / 3) for part in (0, 2)]
        return 100.0 * (rates[1] / rates[0] - 1) if all(rate > 0 for rate in rates) else math.nan

    def _rate(self, heard: Heard, begin: float, end: float) -> float:
        begin, end = begin * heard.duration_sec, end * heard.duration_sec
        inside = [w for w in heard.words if w.state in ("ok", "wrong") and begin <= w.start_sec < end]
        took = [w.end_sec - w.start_sec for w in inside]
        return sum(len(w.text) for w in inside) / sum(took) if len(inside) >= 4 and sum(took) > 0 else math.nan

    def _alike(self, heard: Heard) -> float:
        from engine.screeners import acoustics

        third = len(heard.samples) // 3
        first, last = (np.ascontiguousarray(s) for s in (heard.samples[:third], heard.samples[-third:]))
        vectors = [acoustics.speaker(part, heard.sample_rate) for part in (first, last)]
        return likeness(*vectors)
