"""The next pair: top-two Thompson sampling, with a share of pairs drawn uniformly.

Knows beliefs and a random generator. Two surfaces are drawn from what is believed; the best of the one meets the best
of the other: pairs come up as often as they may be the top two (Russo 2016; for preferences Wu & Liu 2016). A tenth of
the pairs is uniform: it keeps all candidates on one scale and checks the model where it would not look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.adaptive.arms import PRIORS, Arm, SurfacePrior
from engine.adaptive.posterior import Posterior, first_wins, posterior, tally
from engine.statistics.comparison import Comparison
from engine.types import BadInput, Choice

if TYPE_CHECKING:
    import numpy as np

UNIFORM_SHARE = 0.1
DRAWS = 100


@dataclass(frozen=True)
class ChosenPair:
    """Two arms by name, in no order, and how they were chosen: "uniform" or "top two"."""

    one: str
    other: str
    how: str


def next_pair(
    arms: Sequence[Arm],
    answers: Sequence[Comparison],
    *,
    pending: Sequence[tuple[str, str]] = (),
    random: np.random.Generator,
    priors: Sequence[SurfacePrior] = PRIORS,
) -> ChosenPair:
    """The pair to ask about next. The same answers, pending trials and generator state give the same pair.

    `pending` are pairs that were asked and not answered yet, by other reviewers: their answers are imagined as the
    beliefs would have it, so that several reviewers do not all ask the same. Raises BadInput for fewer than two arms.
    """
    if len(arms) < 2:
        raise BadInput("Two candidates at least are needed to ask which is better.")
    if random.random() < UNIFORM_SHARE:
        one, other = (int(n) for n in random.choice(len(arms), size=2, replace=False))
        return ChosenPair(arms[one].name, arms[other].name, "uniform")
    believed = posterior(arms, tally(arms, answers), priors)
    if pending:
        imagined = [*answers, *_imagined(believed, pending, random)]
        believed = posterior(arms, tally(arms, imagined), (believed.prior,))
    one, other = top_two(believed, random)
    return ChosenPair(arms[one].name, arms[other].name, "top two")


def top_two(believed: Posterior, random: np.random.Generator) -> tuple[int, int]:
    """The best arm of one drawn surface, and of the next drawn ones the first other best; by index."""
    bests = believed.samples(DRAWS, random).argmax(axis=1)
    others = bests[bests != bests[0]]
    if len(others):
        return int(bests[0]), int(others[0])
    # Nobody else ever came out best: the one that comes nearest.
    rest = believed.samples(1, random)[0]
    rest[bests[0]] = -float("inf")
    return int(bests[0]), int(rest.argmax())


def _imagined(believed: Posterior, pending: Sequence[tuple[str, str]], random: np.random.Generator) -> list[Comparison]:
    import numpy as np

    utility = dict(zip((arm.name for arm in believed.arms), believed.samples(1, random)[0], strict=True))
    gaps = np.array([utility[a] - utility[b] + believed.order for a, b in pending])
    won = random.random(len(pending)) < first_wins(gaps)
    return [Comparison(a, b, Choice.A if w else Choice.B) for (a, b), w in zip(pending, won, strict=True)]
