"""Who listens: rules about reviewers, fixed before the data and applied as written. Results are shown with and without.

Knows names and answers whose right value is known. A rule that was made after looking at the answers is no rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.statistics import binomial


@dataclass(frozen=True, kw_only=True)
class ScreeningRule:
    """Leave a reviewer out who failed in more than `most_failed` of their checks, if they had at least `checks`."""

    name: str
    most_failed: float
    checks: int = 1


# ITU-R BS.1534-3, 4.1.2: excluded is who rates the hidden reference below 90 in more than 15 % of the items.
HIDDEN_REFERENCE = ScreeningRule(name="hidden reference below 90 in more than 15 % of the items", most_failed=0.15)
REFERENCE_RATING = 90.0
# A coin fails half of them; three of four right is what a listener manages who plays both sides.
CATCH_TRIALS = ScreeningRule(
    name="more than a quarter of at least four catch trials failed", most_failed=0.25, checks=4
)


@dataclass(frozen=True, kw_only=True)
class Screened:
    """One reviewer under one rule, in numbers and a sentence."""

    reviewer: str
    kept: bool
    failed: int
    checks: int
    explanation: str


def screen(checks: Mapping[str, Sequence[bool]], rule: ScreeningRule) -> list[Screened]:
    """What the rule says of each reviewer, by name; `checks` holds whether they passed each check."""
    return [_screened(name, checks[name], rule) for name in sorted(checks)]


def hidden_reference_checks(ratings: Iterable[tuple[str, float]]) -> dict[str, list[bool]]:
    """Checks for `HIDDEN_REFERENCE` from (reviewer, rating of a hidden reference)."""
    found: dict[str, list[bool]] = {}
    for reviewer, rating in ratings:
        found.setdefault(reviewer, []).append(rating >= REFERENCE_RATING)
    return found


def side_bias(on_a: int, on_b: int) -> float:
    """Two-sided p-value of a preference for one side where both are the same clip."""
    return binomial.sign_test(on_a, on_b)


def _screened(reviewer: str, passed: Sequence[bool], rule: ScreeningRule) -> Screened:
    failed, total = sum(not one for one in passed), len(passed)
    if total < rule.checks:
        told = f"{total} checks, {rule.checks} needed to judge: kept."
        return Screened(reviewer=reviewer, kept=True, failed=failed, checks=total, explanation=told)
    kept = failed <= rule.most_failed * total + 1e-9
    told = f"{failed} of {total} checks failed ({failed / total:.0%}; the rule allows {rule.most_failed:.0%})."
    return Screened(reviewer=reviewer, kept=kept, failed=failed, checks=total, explanation=told)
