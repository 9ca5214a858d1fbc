"""The five gates of a leak: whose fault it is, what it hangs on, where it lies, by which sounds and tokens it shows.

Pure: knows measures of clips (`leakage.Start`, `boundary_tokens.Overlap`, error rates) and no audio. What was not
rendered is not judged, and a voice that speaks without a reference has no leak: "not applicable" is another answer than
"passed".
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.screeners import boundary_tokens
from engine.screeners.boundary_tokens import Overlap
from engine.screeners.leakage import CHANCE, Start

COLLAPSE_PERCENT, COLLAPSED_PERCENT = 20.0, 50.0  # more errors with a blank reference text; errors altogether
RESAMPLES = 2000
NAMES = ("base against tuned", "blank reference text", "trimmed start", "boundary", "boundary tokens")
CANNOT_JUDGE = "Cannot judge this voice: no ear follows it, so nobody can say whose words are at the start; listen."


@dataclass(frozen=True, kw_only=True)
class TokenEvidence:
    """What the speech tokens of a candidate's beginnings, and of its base's, have of each reference. `unknown` clips
    have none beside them; `tells` is False of a model that never has any.
    """

    tuned: Sequence[Overlap] = ()
    base: Sequence[Overlap] = ()
    unknown: int = 0
    tells: bool = True


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
    tokens: TokenEvidence | None = None,
    seed: int = 0,
) -> tuple[LeakGate, ...]:
    """All five, over clips of one candidate: `tuned` and `base` in the same order of lines, `errors` in per cent of the
    same clips, `blank_errors` of clips that were rendered with a blank reference text, and `tokens` of each beginning.
    """
    if not tuned:
        told = "Not applicable: this voice speaks without a reference."
        return tuple(LeakGate(name=name, value=math.nan, passed=None, explanation=told) for name in NAMES)
    return (
        _against_base(tuned, base, seed),
        _blank_text(errors, blank_errors),
        _trimmed(tuned),
        _boundary(tuned),
        _boundary_tokens(tokens or TokenEvidence(tells=False)),
    )


def _against_base(tuned: Sequence[Start], base: Sequence[Start], seed: int) -> LeakGate:
    """The share of clips with the reference's words in the start, less what another text gives, against the base's."""
    name = NAMES[0]
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
    name = NAMES[1]
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
    name = NAMES[2]
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

    name = NAMES[3]
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


def _boundary_tokens(tokens: TokenEvidence) -> LeakGate:
    """Whether a reference's tokens come again at the beginnings more than other speech in its place would have it: its
    last second, or any second of it. Two tests are made of each reference, so p is as many times the smallest of them
    (Bonferroni).
    """
    name, found = NAMES[4], tokens.tuned
    if not found:
        return LeakGate(name=name, value=math.nan, passed=None, explanation=_no_tokens(tokens))
    end, others = _mean(found, lambda each: [each.end]), _mean(found, lambda each: each.null_end)
    chances = [boundary_tokens.by_chance(each.end, each.null_end) for each in found]
    chances += [boundary_tokens.by_chance(each.anywhere, each.null_anywhere) for each in found]
    known = [p for p in chances if not math.isnan(p)]
    beside = [f"at the base's {100 * _mean(tokens.base, lambda each: [each.end]):.0f} %"] if tokens.base else []
    beside += [f"with other speech in its place {100 * others:.0f} %"] if known else []
    among = f" ({', '.join(beside)})" if beside else ""
    told = (
        f"At {sum(each.beginnings for each in found)} beginnings {100 * end:.0f} % of the reference's last second of "
        f"tokens come again{among}; of its most alike second "
        f"{100 * _mean(found, lambda each: [each.anywhere]):.0f} %"
    )
    if tokens.unknown:
        told += f"; {tokens.unknown} clips are not measured, they were rendered before tokens were kept"
    if not known:
        told += "; that cannot be judged by so little other speech: choose more lines or references"
        return LeakGate(name=name, value=end, passed=None, explanation=f"{told}.")
    p = min(1.0, len(chances) * min(known))
    return LeakGate(name=name, value=end, passed=p > CHANCE, explanation=f"{told} (p = {p:.2g} by chance).")


def _mean(found: Sequence[Overlap], of: Callable[[Overlap], Sequence[float]]) -> float:
    values = [value for each in found for value in of(each)]
    return sum(values) / len(values) if values else math.nan


def _no_tokens(tokens: TokenEvidence) -> str:
    if not tokens.tells:
        return "Not measured: this voice's model tells no speech tokens; its sounds at the boundary are measured above."
    if tokens.unknown:
        return (
            f"Not measured: the {tokens.unknown} clips were rendered before speech tokens were kept with them; check "
            "again with another seed, which renders new ones."
        )
    return "Not measured: the model hears no tokens of this reference, or too few of it or of the clips for a second."
