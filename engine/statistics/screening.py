"""Who listens: rules about reviewers, fixed before the data and applied as written. Results are shown with and without.

Knows names and answers whose right value is known. A rule that was made after looking at the answers is no rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.statistics import binomial


@dataclass(frozen=True, kw_only=True)
class ScreeningRule:
    """Leave a reviewer out who failed in more than `most_failed` of their checks, if they had at least `checks`."""

    name: str
    most_failed: float
    checks: int = 1


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
