"""One binomial count against published and exact numbers; the sources are in the tests' docstrings."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.statistics.binomial import (
    Interval,
    at_least,
    clopper_pearson,
    pass_rate_lower_bound,
    sign_test,
    two_sided,
    wilson,
)
from engine.types import BadInput

counts = st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def binomial_tail(successes: int, n: int, rate: float) -> float:
    """P(at least `successes` of n) by summing, independently of the beta function."""
    return math.fsum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(successes, n + 1))


# ------------------------------------------------------------------------------------------------------------ intervals
def test_intervals_of_a_published_count() -> None:
    """52 of 82, an ABX result discussed in public: exact [.5205, .7378], score interval [.5261, .7302]."""
    assert clopper_pearson(52, 82) == pytest.approx((0.5205, 0.7378), abs=5e-5)
    assert wilson(52, 82) == pytest.approx((0.5261, 0.7302), abs=5e-5)


@pytest.mark.parametrize(
    ("passes", "n", "bound"),
    [
        (3, 3, 0.3684),
        (5, 5, 0.5493),
        (12, 12, 0.7791),
        (59, 59, 0.9505),  # the rule of three: 59 passes in a row show 95 %
        (0, 5, 0.0),
        (0, 0, 0.0),
        (9, 10, 0.6058),  # tables of the one-sided 95 % bound
    ],
)
def test_what_passes_show(passes: int, n: int, bound: float) -> None:
    """Passes in a row show (1 - confidence) ** (1 / n): three passes prove little."""
    assert pass_rate_lower_bound(passes, n) == pytest.approx(bound, abs=5e-5)
    if passes == n > 0:
        assert pass_rate_lower_bound(passes, n) == pytest.approx(0.05 ** (1 / n), rel=1e-12)


@given(counts.filter(lambda count: count[0] > 0))
def test_the_bound_is_where_the_binomial_says(count: tuple[int, int]) -> None:
    """At the bound, seeing so many passes or more has exactly the probability that the confidence leaves."""
    passes, n = count
    assert binomial_tail(passes, n, pass_rate_lower_bound(passes, n, 0.9)) == pytest.approx(0.1, rel=1e-9)


@given(counts, st.floats(0.5, 0.999))
def test_intervals_hold_the_share_and_mirror_it(count: tuple[int, int], confidence: float) -> None:
    """The observed share lies inside, fails mirror passes, and the exact interval is within 0..1."""
    successes, n = count
    for interval in (clopper_pearson, wilson):
        low, high = interval(successes, n, confidence)
        assert 0.0 <= low <= high <= 1.0
        assert n == 0 or low - 1e-12 <= successes / n <= high + 1e-12
        assert interval(n - successes, n, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_nothing_is_known_without_answers() -> None:
    """No answers leave everything possible."""
    assert clopper_pearson(0, 0) == wilson(0, 0) == Interval(0.0, 1.0)


@pytest.mark.parametrize("bad", [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(bad: tuple[int, int]) -> None:
    """More passes than answers is a fault of the caller and not a share."""
    for function in (clopper_pearson, wilson, pass_rate_lower_bound):
        with pytest.raises(BadInput, match="is not a count"):
            function(*bad)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_impossible_confidences_are_refused(confidence: float) -> None:
    """95 is not a confidence, 0.95 is."""
    with pytest.raises(BadInput, match="between 0 and 1"):
        wilson(3, 5, confidence)


# ---------------------------------------------------------------------------------------------------------- preferences
@pytest.mark.parametrize(
    ("wins", "losses", "p_value"),
    [
        (52, 30, 0.01983),
        (9, 1, 0.021484),
        (12, 4, 0.076813),
        (13, 3, 0.021271),
        (14, 2, 0.004181),
        (7, 3, 0.34375),
        (5, 0, 0.0625),
        (17, 7, 0.063915),  # 17 of 24 needs a one-sided question to be significant
        (5, 5, 1.0),
        (0, 0, 1.0),
    ],
)
def test_the_sign_test_is_exact(wins: int, losses: int, p_value: float) -> None:
    """Two-sided exact binomial probabilities at one half, either way round."""
    assert sign_test(wins, losses) == pytest.approx(p_value, abs=1e-5)
    assert sign_test(losses, wins) == sign_test(wins, losses)


@pytest.mark.parametrize(
    ("n", "fewest", "p_value"),
    [
        (5, 5, 0.03125),
        (8, 7, 0.03516),
        (10, 9, 0.01074),
        (12, 10, 0.01929),
        (16, 12, 0.03841),
        (20, 15, 0.02069),
        (24, 17, 0.03196),
        (30, 20, 0.04937),
    ],
)
def test_the_fewest_wins_that_show_something(n: int, fewest: int, p_value: float) -> None:
    """The one-sided critical values of ABX tables at 5 %."""
    assert at_least(fewest, n) == pytest.approx(p_value, abs=5e-6)
    assert at_least(fewest - 1, n) > 0.05


def test_a_published_abx_count() -> None:
    """52 of 82: one-sided p = .0099, two-sided .01983."""
    assert at_least(52, 82) == pytest.approx(0.0099, abs=5e-5)
    assert two_sided(52, 82) == pytest.approx(0.01983, abs=5e-6)


@given(counts, st.floats(0.05, 0.95))
def test_tails_are_sums_of_the_distribution(count: tuple[int, int], rate: float) -> None:
    """Both tests add up the same probabilities, at any rate."""
    successes, n = count
    assert at_least(successes, n, rate) == pytest.approx(binomial_tail(successes, n, rate), rel=1e-9)
    masses = [math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)]
    extreme = math.fsum(m for m in masses if m <= masses[successes] * (1 + 1e-7))
    assert two_sided(successes, n, rate) == pytest.approx(min(1.0, extreme), rel=1e-6)


def test_certain_rates() -> None:
    """What always succeeds has no surprising success, and what never does has only those."""
    assert (two_sided(5, 5, 1.0), two_sided(4, 5, 1.0), at_least(1, 5, 0.0)) == (1.0, 0.0, 0.0)
