"""Seeds: every purpose its own, and generators that are set whatever was drawn before."""

from __future__ import annotations

import random

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.train import seeds

SEED_OF_STEP_0 = 1220504596
SEED_OF_LM = 1765874250


@given(seed=st.integers(0, 2**31 - 1), step=st.integers(0, 10**6))
def test_purposes_do_not_share_a_seed(seed: int, step: int) -> None:
    """Another step, purpose or run seed is another draw; all fit every generator."""
    made = {seeds.derive(seed, "step", step), seeds.derive(seed, "step", step + 1), seeds.derive(seed, "order", step)}
    assert len(made) == 3
    assert all(0 <= value < 2**31 for value in made)
    assert seeds.derive(seed, "step", step) in made


def test_derived_seeds_never_change() -> None:
    """A run resumed by a later version draws the same: these numbers are part of the format."""
    assert [seeds.derive(42, "step", 0), seeds.derive(42, "adapter", "lm")] == [SEED_OF_STEP_0, SEED_OF_LM]


def test_all_generators_are_set() -> None:
    """Python's, NumPy's and torch's generators draw the same after the same seed."""

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    seeds.set_generators(5)
    first = draw()
    draw()
    seeds.set_generators(5)
    assert draw() == first
