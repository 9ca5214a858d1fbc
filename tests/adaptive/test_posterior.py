"""What is believed of a surface after answers: against exact cases and answers drawn from a known one."""

from __future__ import annotations

import numpy as np
import pytest

from engine.adaptive.arms import PRIORS, Arm, SurfacePrior
from engine.adaptive.posterior import LAPSES, first_wins, posterior, tally
from engine.statistics.comparison import Comparison
from engine.types import BadInput, Choice

ARMS = tuple(Arm(f"{epoch}@{scale}", epoch, scale) for epoch in (2, 4, 6) for scale in (0.2, 0.5, 1.0))
ROUGH = SurfacePrior(smooth_sd=0.0, rough_sd=1.0, epoch_length=0.5, scale_length=0.5)


def answers(first: str, second: str, won: int, lost: int) -> list[Comparison]:
    return [Comparison(first, second, Choice.A)] * won + [Comparison(first, second, Choice.B)] * lost


def test_nothing_heard_is_the_prior() -> None:
    """Without answers all arms are equal, as uncertain as the prior says."""
    found = posterior(ARMS, tally(ARMS, []), (PRIORS[0],))
    assert found.mean == pytest.approx(np.zeros(9))
    assert found.covariance == pytest.approx(PRIORS[0].covariance(ARMS), abs=1e-9)


def test_neighbours_learn_from_one_another() -> None:
    """An arm that wins lifts the arms beside it, most the nearest; a rough surface lifts none but itself."""
    found = posterior(ARMS, tally(ARMS, answers("4@0.5", "2@0.2", 12, 1)), (PRIORS[0],))
    by_name = dict(zip((arm.name for arm in ARMS), found.mean, strict=True))
    assert by_name["4@0.5"] > by_name["6@0.5"] > by_name["6@1.0"] > by_name["2@0.2"]
    rough = posterior(ARMS, tally(ARMS, answers("4@0.5", "2@0.2", 12, 1)), (ROUGH,))
    untouched = [m for arm, m in zip(ARMS, rough.mean, strict=True) if arm.name not in ("4@0.5", "2@0.2")]
    assert untouched == pytest.approx([0.0] * 7, abs=1e-9)


def test_sides_do_not_matter_but_for_the_first_ones_advantage() -> None:
    """The same answers the other way round give the same surface; who always wins first has an order effect."""
    one = posterior(ARMS, tally(ARMS, answers("4@0.5", "2@0.2", 9, 3) + answers("2@0.2", "4@0.5", 3, 9)))
    other = posterior(ARMS, tally(ARMS, answers("2@0.2", "4@0.5", 3, 9) + answers("4@0.5", "2@0.2", 9, 3)))
    assert one.mean == pytest.approx(other.mean)
    assert one.order == pytest.approx(0.0, abs=1e-6)
    biased = posterior(ARMS, tally(ARMS, answers("4@0.5", "2@0.2", 20, 5) + answers("2@0.2", "4@0.5", 20, 5)))
    assert biased.order > 0.5
    assert np.ptp(biased.mean) < 1e-6


def test_a_tie_is_half_a_win_each() -> None:
    """Two ties are one win and one loss."""
    ties = [Comparison("4@0.5", "2@0.2", Choice.TIE)] * 2
    one = posterior(ARMS, tally(ARMS, ties), (PRIORS[0],))
    other = posterior(ARMS, tally(ARMS, answers("4@0.5", "2@0.2", 1, 1)), (PRIORS[0],))
    assert one.mean == pytest.approx(other.mean)


def test_nobody_is_certain() -> None:
    """However far apart, a reviewer answers at random now and then."""
    shares = first_wins(np.array([-50.0, 0.0, 50.0]))
    assert shares == pytest.approx([LAPSES / 2, 0.5, 1 - LAPSES / 2])


def test_a_known_surface_is_found() -> None:
    """Answers drawn from it bring the mean near it, within what the posterior says of its own error."""
    random = np.random.default_rng(3)
    truth = np.array([0.0, 0.5, -0.5, 0.6, 1.2, 0.1, 0.2, 0.6, -0.9])
    drawn = []
    for _ in range(1500):
        i, j = random.choice(9, size=2, replace=False)
        won = random.random() < first_wins(truth[i] - truth[j])
        drawn.append(Comparison(ARMS[i].name, ARMS[j].name, Choice.A if won else Choice.B))
    found = posterior(ARMS, tally(ARMS, drawn))
    error = (found.mean - found.mean.mean()) - (truth - truth.mean())
    assert np.abs(error).max() < 0.35
    assert found.best().name == "4@0.5"
    drawn_means = found.samples(4000, random).mean(axis=0)
    assert drawn_means == pytest.approx(found.mean, abs=0.1)


def test_a_name_that_is_no_arm_is_refused() -> None:
    """An answer about somebody else belongs to another session."""
    with pytest.raises(BadInput, match="x is not one of the candidates"):
        tally(ARMS, answers("x", "4@0.5", 1, 0))
