"""The learning rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.train.schedule import learning_rate


@given(warmup=st.integers(1, 500), peak=st.floats(1e-6, 0.1))
def test_it_rises_in_a_line_and_stays(warmup: int, peak: float) -> None:
    """The first step has peak / warm-up, the last of the warm-up the peak, and no later step another rate."""
    rates = [learning_rate(step, peak=peak, warmup_steps=warmup) for step in range(warmup + 3)]
    assert rates[0] == pytest.approx(peak / warmup)
    assert rates[warmup - 1 :] == [peak] * 4
    assert rates == sorted(rates)


def test_no_warm_up_starts_at_the_peak() -> None:
    """0 steps of warm-up is allowed."""
    assert learning_rate(0, peak=0.1, warmup_steps=0) == 0.1
