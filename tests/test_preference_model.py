"""Bradley-Terry and Davidson against published numbers, a brute-force maximum, and the cases that have no maximum."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.preference_model import Comparison, bradley_terry
from engine.types import BadInput, Choice

A, B, TIE = Choice.A, Choice.B, Choice.TIE


def wins(winner: str, loser: str, times: int = 1) -> list[Comparison]:
    return [(winner, loser, A)] * times


def log_likelihood(comparisons: Sequence[Comparison], strength: dict[str, float], tie: float) -> float:
    """Davidson's formula as it stands in the paper, in strengths and not in logs."""
    total = 0.0
    for a, b, choice in comparisons:
        p_a, p_b = math.exp(strength[a]), math.exp(strength[b])
        middle = tie * math.sqrt(p_a * p_b)
        total += math.log({A: p_a, B: p_b, TIE: middle}[choice] / (p_a + p_b + middle))
    return total


def test_the_worked_example_of_bradley_terry() -> None:
    """Four players as in the encyclopedia's example: powers .640, 1.043, .660, 2.270 with geometric mean 1."""
    fit = bradley_terry(
        wins("A", "B", 2) + wins("B", "A", 3) + wins("A", "D", 1) + wins("D", "A", 4)
        + wins("B", "C", 5) + wins("C", "B", 3) + wins("C", "D", 1) + wins("D", "C", 3)
    )  # fmt: skip
    assert {name: math.exp(value) for name, value in fit.log_strength.items()} == pytest.approx(
        {"A": 0.6398, "B": 1.0433, "C": 0.6598, "D": 2.2704}, abs=1e-4
    )
    assert fit.ranking() == ["D", "B", "C", "A"]
    assert (fit.tie, fit.separated) == (0.0, False)


def test_a_case_of_choix() -> None:
    """Its second pairwise test case: maximum likelihood at .419617624, -.419617624, 0."""
    fit = bradley_terry([*wins("0", "1", 2), *wins("1", "2"), *wins("2", "0")])
    assert list(fit.log_strength.values()) == pytest.approx([0.419617624, -0.419617624, 0.0], abs=1e-8)


def test_a_cycle_makes_equals() -> None:
    """0 beats 1 beats 2 beats 0: all the same, without divergence."""
    fit = bradley_terry([*wins("0", "1"), *wins("1", "2"), *wins("2", "0")])
    assert list(fit.log_strength.values()) == pytest.approx([0.0] * 3, abs=1e-9)


def test_two_candidates_by_hand() -> None:
    """2 wins, 1 loss, 4 ties: odds of 2, and nu = ties / sqrt(wins * losses)."""
    fit = bradley_terry([*wins("a", "b", 2), *wins("b", "a"), *[("a", "b", TIE)] * 4])
    assert fit.log_strength["a"] - fit.log_strength["b"] == pytest.approx(math.log(2), abs=1e-9)
    assert fit.tie == pytest.approx(4 / math.sqrt(2), rel=1e-9)
    # Without ties: the variance of the log odds of 2 : 1 is 1/2 + 1, and centring halves the difference.
    plain = bradley_terry([*wins("a", "b", 2), *wins("b", "a")])
    assert plain.standard_error["a"] == pytest.approx(math.sqrt(1.5) / 2, rel=1e-9)


@given(st.integers(1, 60), st.integers(1, 60))
def test_without_ties_two_candidates_have_their_odds(won: int, lost: int) -> None:
    """The difference of two log strengths is the log odds of the wins."""
    fit = bradley_terry(wins("a", "b", won) + wins("b", "a", lost))
    assert fit.log_strength["a"] - fit.log_strength["b"] == pytest.approx(math.log(won / lost), abs=1e-8)


comparisons = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd"), st.sampled_from([A, B, TIE])).filter(
        lambda drawn: drawn[0] != drawn[1]
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=40)
@given(comparisons, st.integers(0, 2**31 - 1))
def test_the_fit_is_the_maximum(answers: list[Comparison], seed: int) -> None:
    """No neighbouring strengths or tie parameter make the answers more likely; strengths have mean 0."""
    try:
        fit = bradley_terry(answers)
    except BadInput:
        assume(False)
        raise
    assume(not fit.separated)
    best = log_likelihood(answers, dict(fit.log_strength), fit.tie) if fit.tie else None
    assert sum(fit.log_strength.values()) == pytest.approx(0.0, abs=1e-8)
    random = np.random.default_rng(seed)
    for _ in range(10):
        near = {name: value + 0.05 * random.standard_normal() for name, value in fit.log_strength.items()}
        if best is not None:
            assert log_likelihood(answers, near, fit.tie * math.exp(0.05 * random.standard_normal())) <= best + 1e-9


@settings(max_examples=40)
@given(comparisons)
def test_exchanging_sides_changes_nothing(answers: list[Comparison]) -> None:
    """Who was on side A is not who is better."""
    crossed = [(b, a, {A: B, B: A, TIE: TIE}[choice]) for a, b, choice in answers]
    try:
        fit = bradley_terry(answers)
    except BadInput:
        with pytest.raises(BadInput):
            bradley_terry(crossed)
        return
    assert bradley_terry(crossed).log_strength == pytest.approx(dict(fit.log_strength), abs=1e-7)


def test_winning_everything_is_finite_and_said() -> None:
    """40 : 0 has no finite maximum: the prior holds the numbers and the fit says so."""
    fit = bradley_terry(wins("a", "b", 40))
    assert fit.separated
    assert 1.0 < fit.log_strength["a"] < 10.0
    assert fit.ranking() == ["a", "b"]


def test_a_win_and_a_tie_are_finite_and_said() -> None:
    """One win and one tie grow without end together with the tie parameter; a lost answer as well ends that."""
    assert bradley_terry([("a", "b", A), ("a", "b", TIE)]).separated
    assert not bradley_terry([("a", "b", A), ("a", "b", TIE), ("a", "b", B)]).separated


@given(st.integers(1, 5), st.integers(0, 6))
def test_a_ring_needs_more_wins_than_ties(won: int, tied: int) -> None:
    """Around a ring of comparisons, a maximum exists when all are reached and the ties do not outnumber the wins."""
    size = won + tied
    ring = [(str(n), str((n + 1) % size), A if n < won else TIE) for n in range(size)]
    assume(size >= 3)
    assert bradley_terry(ring).separated is (tied > 0 and won <= tied)


def test_only_ties_are_finite_and_said() -> None:
    """Ties alone make equals, and the tie parameter does not run away."""
    fit = bradley_terry([("a", "b", TIE)] * 9)
    assert fit.separated
    assert fit.log_strength == pytest.approx({"a": 0.0, "b": 0.0}, abs=1e-9)
    assert 1.0 < fit.tie < 1e4


def test_groups_that_never_met_are_not_ranked() -> None:
    """A-B and C-D have no common scale: refused with both groups named."""
    with pytest.raises(BadInput, match=r"a, b and c, d were never compared"):
        bradley_terry([*wins("a", "b"), *wins("b", "a"), *wins("c", "d"), *wins("d", "c")])


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([], "no preferences"),
        ([("a", "a", A)], "compared with itself"),
        ([("a", "b", Choice.PASS)], "not pass"),
    ],
)
def test_what_is_no_preference_is_refused(answers: list[Comparison], told: str) -> None:
    """Catch trials and gate answers do not belong in a fit."""
    with pytest.raises(BadInput, match=told):
        bradley_terry(answers)


def test_a_weak_order_is_recovered() -> None:
    """Answers drawn from known strengths give those back within their standard errors."""
    truth = {"a": 1.0, "b": 0.3, "c": -0.2, "d": -1.1}
    random = np.random.default_rng(5)
    answers: list[Comparison] = []
    for _ in range(4000):
        a, b = random.choice(list(truth), size=2, replace=False)
        p_a, p_b = math.exp(truth[a]), math.exp(truth[b])
        middle = 0.8 * math.sqrt(p_a * p_b)
        shares = np.array([p_a, p_b, middle])
        answers.append((str(a), str(b), (A, B, TIE)[random.choice(3, p=shares / shares.sum())]))
    fit = bradley_terry(answers)
    for name, value in truth.items():
        assert abs(fit.log_strength[name] - value) < 4 * fit.standard_error[name]
    assert fit.tie == pytest.approx(0.8, abs=0.1)
