"""Which pair is asked next: the contenders, some of all, other ones for other reviewers, the same again on replay."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from engine.adaptive.arms import Arm
from engine.adaptive.choosing import UNIFORM_SHARE, next_pair
from engine.statistics.comparison import Comparison
from engine.types import BadInput, Choice

ARMS = tuple(Arm(f"{epoch}@{scale}", epoch, scale) for epoch in (2, 4, 6) for scale in (0.2, 0.5, 1.0))
KNOWN = [
    Comparison(arm.name, "2@0.2", Choice.A if arm.name.startswith("4") else Choice.B)
    for arm in ARMS
    for _ in range(12)
    if arm.name != "2@0.2"
]


def chosen(seed: int, **more: object) -> tuple[str, str, str]:
    pair = next_pair(ARMS, KNOWN, random=np.random.default_rng(seed), **more)  # type: ignore[arg-type]
    return pair.one, pair.other, pair.how


def test_the_same_state_gives_the_same_pair() -> None:
    """A choice can be made once more and checked."""
    assert chosen(7) == chosen(7)
    assert len({chosen(seed) for seed in range(30)}) > 5


def test_contenders_meet_and_a_tenth_is_uniform() -> None:
    """Epoch 4 wins: most pairs are of its arms; about a tenth of all pairs, at least, is drawn uniformly."""
    pairs = [chosen(seed) for seed in range(400)]
    uniform = [pair for pair in pairs if pair[2] == "uniform"]
    assert 0.6 * UNIFORM_SHARE < len(uniform) / 400 < 1.6 * UNIFORM_SHARE
    counts = Counter(name.startswith("4") for one, other, how in pairs if how == "top two" for name in (one, other))
    assert counts[True] > 2 * counts[False]
    assert all(one != other for one, other, _ in pairs)
    assert {name for one, other, _ in uniform for name in (one, other)} == {arm.name for arm in ARMS}


def test_what_others_listen_to_is_taken_into_account() -> None:
    """With twenty pending trials of one pair, that pair comes up less often than with none."""
    pair = ("4@0.5", "4@0.2")
    alone = sum(set(chosen(seed)[:2]) == set(pair) for seed in range(150))
    crowded = sum(set(chosen(seed, pending=[pair] * 40)[:2]) == set(pair) for seed in range(150))
    assert crowded < alone


def test_one_candidate_is_no_choice() -> None:
    """There is nothing to compare it with."""
    with pytest.raises(BadInput, match="Two candidates"):
        next_pair(ARMS[:1], [], random=np.random.default_rng(0))


def test_two_candidates_are_the_pair() -> None:
    """Also when one is known to be the best."""
    lost = [Comparison("2@0.2", "2@0.5", Choice.B)] * 60
    pair = next_pair(ARMS[:2], lost, random=np.random.default_rng(1))
    assert {pair.one, pair.other} == {"2@0.2", "2@0.5"}


def test_it_finds_more_than_random_pairs_do() -> None:
    """Over forty small simulated tests the loss is smaller than with random pairs; the benchmark has the figures."""
    from benchmarks.adaptive import WAYS, over_steered, regret

    adaptive, random, _ = WAYS
    lost = {
        way.name: np.mean([regret(over_steered, way, seed, 48) for seed in range(40)]) for way in (adaptive, random)
    }
    assert lost[adaptive.name] < lost[random.name]
