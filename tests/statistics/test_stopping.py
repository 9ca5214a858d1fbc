"""Stopping rules at their boundaries, and what looking again and again does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.statistics import stopping
from engine.statistics.stopping import by_e_value, by_exact_test, by_sprt, e_value
from engine.types import BadInput


@pytest.mark.parametrize(
    ("p1", "slope", "intercept", "all_right", "all_wrong"),
    [(0.7, 0.60289, 3.4751, 9, 6), (0.75, 0.63093, 2.6801, 8, 5), (0.8, 0.66096, 2.1240, 7, 4)],
)
def test_walds_boundaries(p1: float, slope: float, intercept: float, all_right: int, all_wrong: int) -> None:
    """Both errors 5 %: the lines in counts, and the first trial at which a row of equal answers stops."""
    state = by_sprt(0, 0, p1=p1)
    assert (state.more["slope"], state.more["intercept"]) == pytest.approx((slope, intercept), abs=5e-5)
    assert state.threshold == pytest.approx(math.log(19))
    assert next(n for n in range(20) if by_sprt(n, n, p1=p1).stop) == all_right
    assert next(n for n in range(20) if by_sprt(0, n, p1=p1).stop) == all_wrong
    assert by_sprt(all_right, all_right, p1=p1).decision == "better"
    assert by_sprt(0, all_wrong, p1=p1).decision == "not better"


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.55, 0.95))
def test_the_lines_and_the_ratio_say_the_same(count: tuple[int, int], p1: float) -> None:
    """Wins beyond slope * trials + intercept, or below minus it, is what the log likelihood ratio stops at."""
    wins, trials = count
    state = by_sprt(wins, trials, p1=p1)
    beyond = abs(wins - state.more["slope"] * trials) - state.more["intercept"]
    assert state.stop == (beyond >= 0) or abs(beyond) < 1e-9


@pytest.mark.parametrize(
    ("wins", "trials", "value"), [(14, 16, 32.1255), (13, 16, 6.8840), (0, 0, 1.0), (1, 1, 1.0), (8, 8, 28.4444)]
)
def test_the_mixture_e_value(wins: int, trials: int, value: float) -> None:
    """2^n / ((n + 1) C(n, k)): 14 of 16 stops, 13 of 16 does not; symmetric in wins and losses."""
    assert e_value(wins, trials) == pytest.approx(value, abs=5e-5)
    assert e_value(trials - wins, trials) == pytest.approx(value, abs=5e-5)
    assert by_e_value(wins, trials).stop is (value >= 20)


def test_an_e_value_says_which_side() -> None:
    """Stopping in favour of the other side is a decision too."""
    assert by_e_value(14, 16).decision == "better"
    assert by_e_value(2, 16).decision == "worse"
    assert by_e_value(9, 16).decision == "go on"
    assert by_e_value(5000, 5000).statistic == math.inf


def test_an_e_value_is_a_fair_bet() -> None:
    """When wins and losses are equally likely its mean is 1 at any number of trials, so it may be looked at always."""
    for n in (1, 5, 30):
        mean = sum(math.comb(n, k) / 2**n * e_value(k, n) for k in range(n + 1))
        assert mean == pytest.approx(1.0)


def test_looking_again_and_again() -> None:
    """At 50 judgments of equals, the e-value looked at after each finds something in at most 5 %; the exact test,
    looked at likewise, in far more.
    """
    random = np.random.default_rng(2)
    runs, by_value, by_test = 1000, 0, 0
    for wins in (random.random((runs, 50)) < 0.5).cumsum(axis=1):
        by_value += any(e_value(int(k), n) >= 20 for n, k in enumerate(wins, start=1))
        by_test += any(by_exact_test(int(k), n).stop for n, k in enumerate(wins, start=1) if n >= 5)
    assert by_value / runs <= 0.05
    assert by_test / runs > 0.12


@pytest.mark.parametrize(
    ("n", "fewest"), [(5, 5), (8, 7), (10, 9), (12, 10), (16, 12), (20, 15), (24, 17), (30, 20), (4, 5)]
)
def test_the_exact_test_of_a_fixed_number(n: int, fewest: int) -> None:
    """The fewest wins with a one-sided p of at most 5 %; with four trials none are enough."""
    state = by_exact_test(n, n)
    assert state.more["wins_needed"] == fewest
    assert by_exact_test(fewest - 1, n).stop is False
    assert fewest > n or by_exact_test(fewest, n).stop is True


@pytest.mark.parametrize(("wins", "trials"), [(-1, 3), (4, 3), (0, -1)])
def test_impossible_counts_are_refused(wins: int, trials: int) -> None:
    """More wins than trials is a typing error."""
    for method in stopping.METHODS.values():
        with pytest.raises(BadInput, match="cannot be"):
            method(wins, trials)


@pytest.mark.parametrize("p1", [0.5, 1.0, 0.3])
def test_the_sprt_needs_a_rate_to_find(p1: float) -> None:
    """One half against one half can never be told."""
    with pytest.raises(BadInput, match="to tell from one half"):
        by_sprt(1, 2, p1=p1)
