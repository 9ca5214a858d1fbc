"""The four gates of a leak: whose fault it is, what it hangs on, where it lies, and by which sounds it shows.

Pure: knows measures of clips (`leakage.Start`, error rates) and no audio. What was not rendered is not judged, and a
voice that speaks without a reference has no leak: "not applicable" is another answer than "passed".
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from engine.screeners.leakage import CHANCE, Start

COLLAPSE_PERCENT, COLLAPSED_PERCENT = 20.0, 50.0  # more errors with a blank reference text; errors altogether
RESAMPLES = 2000
CANNOT_JUDGE = "Cannot judge this voice: no ear follows it, so nobody can say whose words are at the start; listen."


@dataclass(frozen=True, kw_only=True)
class LeakGate:
    """One gate's answer. `passed` None: not applicable, or not rendered."""

    name: str
    value: float
    passed: bool | None
    explanation: str


def gates(
    tuned: Sequence[Start],
    *,
    base: Sequence[Start] = (),
    errors: Sequence[float] = (),
    blank_errors: Sequence[float] = (),
    seed: int = 0,
) -> tuple[LeakGate, ...]:
    """All four, over clips of one candidate: `tuned` and `base` in the same order of lines, `errors` in per cent of the
    same clips, and `blank_errors` of clips that were rendered with a blank reference text.
    """
    if not tuned:
        told = "Not applicable: this voice speaks without a reference."
        names = ("base against tuned", "blank reference text", "trimmed start", "boundary")
        return tuple(LeakGate(name=name, value=math.nan, passed=None, explanation=told) for name in names)
    return (
        _against_base(tuned, base, seed),
        _blank_text(errors, blank_errors),
        _trimmed(tuned),
        _boundary(tuned),
    )


def _against_base(tuned: Sequence[Start], base: Sequence[Start], seed: int) -> LeakGate:
    """The share of clips with the reference's words in the start, less what another text gives, against the base's."""
    name = "base against tuned"
    both = len(base) == len(tuned)
    kept = [n for n, start in enumerate(tuned) if start.is_followed and (not both or base[n].is_followed)]
    if not kept:
        return LeakGate(name=name, value=math.nan, passed=None, explanation=CANNOT_JUDGE)
    tuned, base = [tuned[n] for n in kept], [base[n] for n in kept] if both else []
    own = [_excess(start) for start in tuned]
    share = sum(own) / len(own)
    if len(base) != len(tuned):
        told = f"Words of the reference are heard in {100 * share:.0f} % of the clips; the base was not rendered."
        return LeakGate(name=name, value=share, passed=None if share > 0 else True, explanation=told)
    more = [one - _excess(other) for one, other in zip(own, base, strict=True)]
    draw = random.Random(seed)
    means = sorted(sum(draw.choices(more, k=len(more))) / len(more) for _ in range(RESAMPLES))
    low, high = means[round(0.025 * RESAMPLES)], means[round(0.975 * RESAMPLES) - 1]
    adds = low > 0
    whose = "the adapter adds to it" if adds else "the base does it as well" if share > 0 else "neither leaks"
    told = (
        f"Words of the reference are heard in {100 * share:.0f} % of the clips, {100 * sum(more) / len(more):+.0f} "
        f"points against the base ({100 * low:+.0f} to {100 * high:+.0f}): {whose}."
    )
    return LeakGate(name=name, value=share, passed=share <= 0, explanation=told)


def _excess(start: Start) -> float:
    return float(start.hits > 0) - float(start.by_chance > 0)


def _blank_text(errors: Sequence[float], blank_errors: Sequence[float]) -> LeakGate:
    name = "blank reference text"
    if not blank_errors or not errors:
        told = "No clips were rendered with a blank reference text."
        return LeakGate(name=name, value=math.nan, passed=None, explanation=told)
    blank, full = sum(blank_errors) / len(blank_errors), sum(errors) / len(errors)
    collapses = blank - full > COLLAPSE_PERCENT or blank > COLLAPSED_PERCENT
    told = f"Errors go from {full:.0f} % to {blank:.0f} % when the reference's text is left blank"
    why = ": the voice leans on that text" if collapses else ""
    return LeakGate(name=name, value=blank - full, passed=not collapses, explanation=f"{told}{why}.")


def _trimmed(tuned: Sequence[Start]) -> LeakGate:
    """Whether the leak lies in the first 0.93 s alone."""
    name = "trimmed start"
    if not any(start.is_followed for start in tuned):
        return LeakGate(name=name, value=math.nan, passed=None, explanation=CANNOT_JUDGE)
    leaking = [start for start in tuned if start.hits]
    if not leaking:
        told = "There is nothing to trim away."
        return LeakGate(name=name, value=0.0, passed=True, explanation=told)
    left = sum(start.trimmed_hits > 0 for start in leaking)
    where = "it lies at the very beginning" if not left else "it goes on beyond it"
    told = f"After the first 0.93 s were cut off, {left} of {len(leaking)} clips still leak: {where}."
    return LeakGate(name=name, value=left / len(leaking), passed=False, explanation=told)


def _boundary(tuned: Sequence[Start]) -> LeakGate:
    """Whether the reference's end and the clips' beginnings sound alike more often than chance has it."""
    from scipy import stats

    name = "boundary"
    known = [start for start in tuned if not math.isnan(start.chance)]
    if not known:
        told = "The clips or the reference are too short to compare their sounds."
        return LeakGate(name=name, value=math.nan, passed=None, explanation=told)
    alike = sum(start.chance <= CHANCE for start in known)
    by_chance = float(stats.binomtest(alike, len(known), CHANCE, alternative="greater").pvalue)
    told = (
        f"In {alike} of {len(known)} clips the beginning sounds more like the reference's end than like other "
        f"stretches of it (p = {by_chance:.2g} by chance)."
    )
    return LeakGate(name=name, value=alike / len(known), passed=by_chance > CHANCE, explanation=told)
