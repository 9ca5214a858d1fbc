"""When exploring has found enough, and what it then recommends.

Knows beliefs and counts. Three ways to stop: the recommended candidate is within `delta` of the best with 95 %
probability; the e-value of its trials against the base reaches its threshold; the judgments that were allowed are
used up. Neither of the first two is a confirmation: the candidate was chosen by the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.adaptive.posterior import Posterior
from engine.statistics.comparison import Comparison
from engine.statistics.stopping import by_e_value
from engine.types import BadInput, Choice

if TYPE_CHECKING:
    import numpy as np

SAMPLES = 4000


@dataclass(frozen=True, kw_only=True)
class ExplorationRule:
    """Fixed before the first answer. `delta` in logits; The first two rules wait for `least` judgments."""

    delta: float = 0.25
    probability: float = 0.95
    e_value: float = 20.0
    least: int = 12
    most: int = 144
    only_most: bool = False  # look at neither of the other two

    def __post_init__(self) -> None:
        if not (self.delta > 0 and 0.5 < self.probability < 1 and self.most > 0):
            raise BadInput(
                "An exploration needs a delta above 0, a probability within 0.5 to 1, and one judgment or more."
            )


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """How far it is. `within`: probability that `champion` is within delta of the best; `reason` empty: go on."""

    champion: str
    within: float
    e_value: float
    judgments: int
    stop: bool
    reason: str


def exploration(
    believed: Posterior,
    answers: Sequence[Comparison],
    rule: ExplorationRule,
    *,
    base: str | None,
    random: np.random.Generator,
) -> Exploration:
    """Where an exploration stands; `base` is the name of the control among the arms, if it is one."""
    champion = believed.best()
    place = believed.arms.index(champion)
    drawn = believed.samples(SAMPLES, random)
    within = float((drawn[:, place] >= drawn.max(axis=1) - rule.delta).mean())
    value = _against(champion.name, base, answers)
    reason = _reason(rule, within, value, len(answers), believed, base)
    return Exploration(
        champion=champion.name,
        within=within,
        e_value=value,
        judgments=len(answers),
        stop=bool(reason),
        reason=reason,
    )


def _reason(
    rule: ExplorationRule, within: float, value: float, judgments: int, believed: Posterior, base: str | None
) -> str:
    if judgments >= rule.most:
        return f"all {rule.most} judgments are used"
    if rule.only_most or judgments < rule.least:
        return ""
    if within >= rule.probability:
        return f"the champion is within {rule.delta:g} logits of the best with probability {within:.2f}"
    if value >= rule.e_value and believed.best().name != base:
        return f"the champion is preferred to the base (e-value {value:.0f})"
    return ""


def _against(champion: str, base: str | None, answers: Sequence[Comparison]) -> float:
    """The e-value of the champion's decided trials against the base; 1, no evidence, without any or when it loses."""
    wins = losses = 0
    for c in answers:
        if {c.a, c.b} == {champion, base} and c.choice is not Choice.TIE:
            won = (c.choice is Choice.A) == (c.a == champion)
            wins, losses = wins + won, losses + (not won)
    return by_e_value(wins, wins + losses).statistic if wins > losses else 1.0
