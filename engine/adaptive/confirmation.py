"""The small fixed test that follows an exploration: its winner against one opponent, counted alone.

An adaptive session asks most about what it likes best, so its own figures flatter the winner. Here the number of
judgments is fixed beforehand, sides are counterbalanced as in any fixed test, and one exact test of these answers
decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.statistics import power, stopping
from engine.statistics.comparison import Comparison
from engine.statistics.stopping import StopState
from engine.types import BadInput, Choice

P1, POWER = 0.75, 0.8


@dataclass(frozen=True, kw_only=True)
class ConfirmationPlan:
    """`judgments` is even, so that both orders are heard equally often; `wins_needed` of them show a preference."""

    winner: str
    opponent: str
    judgments: int
    wins_needed: int
    p1: float
    power: float


def plan(winner: str, opponent: str, *, p1: float = P1, wanted_power: float = POWER) -> ConfirmationPlan:
    """Enough judgments to find a preference rate `p1` with the wanted power. Raises BadInput for one and the same."""
    if winner == opponent:
        raise BadInput("A confirmation needs two different candidates.")
    least = power.fixed_sample(p1, power=wanted_power)
    count = least.judgments + least.judgments % 2
    return ConfirmationPlan(
        winner=winner,
        opponent=opponent,
        judgments=count,
        wins_needed=int(stopping.by_exact_test(0, count).more["wins_needed"]),
        p1=p1,
        power=wanted_power,
    )


def outcome(made: ConfirmationPlan, answers: Sequence[Comparison]) -> StopState | None:
    """The exact test of the answers to the plan; None before all of them are there. Ties are left out."""
    if len(answers) < made.judgments:
        return None
    decided = [c for c in answers if c.choice is not Choice.TIE]
    wins = sum((c.choice is Choice.A) == (c.a == made.winner) for c in decided)
    return stopping.by_exact_test(wins, len(decided))
