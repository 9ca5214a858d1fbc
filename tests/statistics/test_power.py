"""Numbers of judgments that are needed, against exact powers and the case of a published plan."""

from __future__ import annotations

import math

import pytest

from engine.statistics import binomial, power, stopping
from engine.types import BadInput


def test_the_fixed_sample_beside_the_sprt() -> None:
    """To tell .7 from one half with both errors 5 % takes 67 judgments, of which 41 are wins."""
    plan = power.fixed_sample(0.7)
    assert (plan.judgments, plan.wins_needed) == (67, 41)
    assert binomial.at_least(41, 67, 0.7) == pytest.approx(plan.power)
    assert plan.power >= 0.95
    assert binomial.at_least(41, 67) <= 0.05 < binomial.at_least(40, 67)


def test_a_small_preference_is_planned_as_well() -> None:
    """More judgments than a float's range of combinations: counted in integers."""
    wins = binomial.wins_needed(1100, 0.05)
    assert binomial.at_least(wins, 1100) <= 0.05 < binomial.at_least(wins - 1, 1100)


@pytest.mark.parametrize("p1", [0.65, 0.75, 0.9])
def test_one_judgment_less_has_too_little_power(p1: float) -> None:
    """The plan is the shortest."""
    plan = power.fixed_sample(p1, power=0.8)
    before = plan.judgments - 1
    wins = next(k for k in range(before + 2) if k > before or binomial.at_least(k, before) <= 0.05)
    assert binomial.at_least(wins, before, p1) < 0.8 if wins <= before else True


def test_more_until_the_e_value_stops() -> None:
    """13 of 16 goes on for 6 if shares stay; 14 of 16 has stopped; an even count can promise nothing."""
    more = power.more_until_stop(13, 3)
    assert more == 6
    assert stopping.e_value(round(13 / 16 * 22), 22) >= 20 > stopping.e_value(round(13 / 16 * 21), 21)
    assert power.more_until_stop(14, 2) == 0
    assert power.more_until_stop(2, 14) == 0
    assert power.more_until_stop(10, 10) is None
    assert power.more_until_stop(0, 0) is None


def test_errors_fall_with_the_root() -> None:
    """Half the error takes four times the judgments."""
    assert power.more_for_error(40, 0.3, 0.15) == 120
    assert power.more_for_error(40, 0.3, 0.5) == 0
    with pytest.raises(BadInput):
        power.more_for_error(40, math.nan, 0.0)


@pytest.mark.parametrize("p1", [0.5, 0.4, 1.0])
def test_rates_that_need_no_plan_are_refused(p1: float) -> None:
    """No number of judgments tells one half from one half."""
    with pytest.raises(BadInput):
        power.fixed_sample(p1)
