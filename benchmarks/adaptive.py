"""Simulated reviewers on known surfaces: how often an adaptive test finds a candidate that is nearly the best.

Six checkpoints at four scales, 72 judgments, one at a time, 5 % of them lapses. Two families of surfaces: one drawn
from a Gaussian process, as the prior of `engine.adaptive` believes (though no one of its
six priors is the family's), and one made from what adapters do: strength grows with epoch and scale to a best point and
over-steers beyond, late epochs spoil, and nothing is smooth to the last. Chosen alike are random pairs, with the same
final analysis and with one that knows no neighbours. The seeds of this file were not used while the method was made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Row, Table
from engine.adaptive.arms import PRIORS, Arm, SurfacePrior
from engine.adaptive.choosing import UNIFORM_SHARE, top_two
from engine.adaptive.posterior import posterior, tally
from engine.statistics.comparison import Comparison
from engine.types import Choice

EPOCHS, SCALES = (2, 4, 6, 8, 10, 12), (0.2, 0.35, 0.5, 1.0)
ARMS = tuple(Arm(f"{epoch}@{scale}", epoch, scale) for epoch in EPOCHS for scale in SCALES)
JUDGMENTS, LAPSES, NEAR, RUNS = 72, 0.05, 0.25, 300
SD, ROUGH_SD = 1.2, 0.3
SEED = 2027
LOOK_AT_PRIORS_EVERY = 6  # answers; the app looks at every one
NO_NEIGHBOURS = (SurfacePrior(smooth_sd=0.01, rough_sd=SD, epoch_length=0.5, scale_length=0.5),)

Surface = Callable[[np.random.Generator], NDArray[np.float64]]


def gaussian(random: np.random.Generator) -> NDArray[np.float64]:
    """A draw of a Gaussian process over epoch and scale."""
    prior = SurfacePrior(smooth_sd=SD, rough_sd=ROUGH_SD, epoch_length=0.5, scale_length=0.5)
    root = np.linalg.cholesky(prior.covariance(ARMS) + 1e-9 * np.eye(len(ARMS)))
    return np.asarray(root @ random.standard_normal(len(ARMS)))


def over_steered(random: np.random.Generator) -> NDArray[np.float64]:
    """Best at some strength of scale times growth over epochs, worse on both sides, and late epochs spoil it."""
    epoch = np.array([arm.epoch for arm in ARMS])
    scale = np.array([arm.scale for arm in ARMS])
    strength = np.log(scale * (1 - np.exp(-epoch / random.uniform(2, 8))))
    best = math.log(random.uniform(0.15, 0.8))
    spoilt = random.uniform(0, 3) / (1 + np.exp(random.uniform(5, 13) - epoch)) * scale
    shape = -random.uniform(0.5, 2) * (strength - best) ** 2 - spoilt
    return np.asarray((shape - shape.mean()) / shape.std() * SD + random.normal(0, ROUGH_SD, len(ARMS)))


FAMILIES: dict[str, Surface] = {
    "Gaussian process (as the prior believes)": gaussian,
    "over-steering adapters (another family)": over_steered,
}


@dataclass(frozen=True)
class Way:
    """How pairs are chosen and what the final analysis believes."""

    name: str
    adaptive: bool
    priors: Sequence[SurfacePrior]
    aim: str = ""


WAYS = (
    Way("top two, adaptive", True, PRIORS, ">= 0.70"),
    Way("random pairs, same analysis", False, PRIORS),
    Way("random pairs, no neighbours", False, NO_NEIGHBOURS, "0.39 in an earlier study"),
)


def run(turns: int, base_model: str) -> Sequence[Table]:
    """`turns` and `base_model` are of no use here: runs are counted, not timed."""
    del turns, base_model
    rows = [_row(family, surface, way) for family, surface in FAMILIES.items() for way in WAYS]
    note = (
        f"{RUNS} surfaces a line, the same for each way; the standard error is behind the share. "
        f"{JUDGMENTS} judgments, {LAPSES:.0%} lapses; surfaces have a spread of {SD} logits."
    )
    return [Table(f"Chosen within {NEAR} logits of the best", rows, note)]


def _row(family: str, surface: Surface, way: Way) -> Row:
    regrets = np.array([regret(surface, way, seed) for seed in range(RUNS)])
    share = float((regrets <= NEAR).mean())
    error = math.sqrt(share * (1 - share) / RUNS)
    return Row(f"{family}: {way.name}", f"{share:.3f} ± {error:.3f}", f"{regrets.mean():.2f} logits lost", way.aim)


def regret(surface: Surface, way: Way, seed: int, judgments: int = JUDGMENTS) -> float:
    """By how many logits the recommended arm falls short of the best, after one simulated test."""
    random = np.random.default_rng([SEED, seed])
    truth = surface(random)
    answers: list[Comparison] = []
    prior = way.priors[0]
    for n in range(judgments):
        counted = tally(ARMS, answers)
        if n % LOOK_AT_PRIORS_EVERY == 0 and way.adaptive:
            prior = posterior(ARMS, counted, way.priors).prior
        first, second = _pair(way, counted, prior, random)
        answers.append(_answer(truth, first, second, random))
    chosen = posterior(ARMS, tally(ARMS, answers), way.priors)
    return float(truth.max() - truth[chosen.mean.argmax()])


def _pair(way: Way, counted: Any, prior: SurfacePrior, random: np.random.Generator) -> tuple[int, int]:
    if not way.adaptive or random.random() < UNIFORM_SHARE:
        first, second = random.choice(len(ARMS), size=2, replace=False)
        return int(first), int(second)
    return top_two(posterior(ARMS, counted, (prior,)), random)


def _answer(truth: NDArray[np.float64], first: int, second: int, random: np.random.Generator) -> Comparison:
    share = LAPSES / 2 + (1 - LAPSES) / (1 + math.exp(truth[second] - truth[first]))
    choice = Choice.A if random.random() < share else Choice.B
    return Comparison(ARMS[first].name, ARMS[second].name, choice)
