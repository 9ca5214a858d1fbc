"""Batches: everything once, within the budget, and the same for the same seed."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from engine.train import batches
from engine.types import RunConfig

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=60)


@given(lengths=lengths, budget=st.integers(100, 2000), seed=st.integers(0, 9), epoch=st.integers(1, 9))
def test_an_epoch_has_every_example_once_within_the_budget(
    lengths: list[int], budget: int, seed: int, epoch: int
) -> None:
    """No example is left out or repeated; only an example that is itself too long may exceed the budget, alone."""
    for made in (
        batches.epoch_batches(lengths, batch_tokens=budget, seed=seed, epoch=epoch),
        batches.fixed_batches(lengths, batch_tokens=budget),
    ):
        assert sorted(i for batch in made for i in batch) == list(range(len(lengths)))
        assert all(len(b) == 1 or max(lengths[i] for i in b) * len(b) <= budget for b in made)


@given(lengths=lengths, seed=st.integers(0, 9), accumulation=st.integers(1, 4), max_steps=st.integers(0, 40))
def test_totals_count_what_the_epochs_hold(lengths: list[int], seed: int, accumulation: int, max_steps: int) -> None:
    """The total that a run announces is the number of steps that it will do: an epoch's last one may have fewer
    batches.
    """
    config = RunConfig(epochs=3, batch_tokens=400, seed=seed, accumulation=accumulation, max_steps=max_steps)
    each = [len(batches.epoch_batches(lengths, batch_tokens=400, seed=seed, epoch=e)) for e in (1, 2, 3)]
    planned = sum(math.ceil(count / accumulation) for count in each)
    assert batches.total_steps(lengths, config) == (min(planned, max_steps) if max_steps else planned)


def test_the_seed_and_the_epoch_decide_the_order() -> None:
    """Same seed and epoch: same batches. Another epoch or seed: another order."""
    lengths = [10 + i % 7 for i in range(50)]

    def made(seed: int, epoch: int) -> list[batches.Batch]:
        return batches.epoch_batches(lengths, batch_tokens=60, seed=seed, epoch=epoch)

    assert made(1, 1) == made(1, 1)
    assert made(1, 1) != made(1, 2)
    assert made(1, 1) != made(2, 1)


def test_batches_hold_similar_lengths() -> None:
    """Little padding: a short example is not put beside a long one."""
    lengths = [10] * 20 + [200] * 20
    made = batches.epoch_batches(lengths, batch_tokens=1000, seed=1, epoch=1)
    assert all(len({lengths[i] for i in batch}) == 1 for batch in made if len(batch) < 20)
    assert sum(len({lengths[i] for i in batch}) == 2 for batch in made) <= 1
