"""Sampling is what transformers' filters with plain sampling would draw, and rows that leave a batch change nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from engine.backends.finch.generation import NOISE_STEPS, Prompt, RowCache, Sampler
from engine.types import GenerationSettings

COLUMNS = 12
CPU = torch.device("cpu")


def prompt(seed: int = 0, **changes: float) -> Prompt:
    plain = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} | changes
    return Prompt(ids=[0], positions=[0], cap=9, seed=seed, settings=GenerationSettings(**plain))  # type: ignore[arg-type]


def sampler(prompts: Sequence[Prompt], columns: int = COLUMNS) -> Sampler:
    return Sampler(prompts, columns, CPU)


def logits_of(seed: int, rows: int = 1, columns: int = COLUMNS) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * 2


@settings(max_examples=12, deadline=None)
@given(
    temperature=st.sampled_from([0.3, 1.0, 1.7]),
    top_k=st.sampled_from([0, 1, 4, 50]),
    top_p=st.sampled_from([0.3, 0.8, 1.0]),
    seed=st.integers(0, 99),
)
def test_draws_follow_the_probabilities_that_transformers_would_sample_from(
    temperature: float, top_k: int, top_p: float, seed: int
) -> None:
    """Filters, Gumbel noise and the maximum give the frequencies of softmax over transformers' own filters."""
    draws = 1500
    logits = logits_of(seed)
    warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if top_k:
        warpers.append(TopKLogitsWarper(min(top_k, COLUMNS)))
    if top_p < 1:
        warpers.append(TopPLogitsWarper(top_p))
    expected = warpers(torch.zeros(1, 1, dtype=torch.long), logits.clone()).softmax(-1)[0]
    one = sampler([prompt(i, temperature=temperature, top_k=top_k, top_p=top_p) for i in range(draws)])
    drawn = Counter(one.choose(logits.expand(draws, -1), 0).tolist())
    for column in range(COLUMNS):
        share, wanted = drawn[column] / draws, float(expected[column])
        # Five deviations; and five draws, since of what is rare one draw alone is many deviations.
        assert abs(share - wanted) < 5 * (wanted * (1 - wanted) / draws) ** 0.5 + 5 / draws
        if wanted == 0:
            assert column not in drawn


def test_temperature_0_takes_the_most_probable_one_whatever_the_seed() -> None:
    """A greedy row has no noise, even beside rows that have."""
    logits = logits_of(3).expand(20, -1)
    one = sampler([prompt(seed, temperature=0.0 if seed % 2 else 5.0) for seed in range(20)])
    chosen = one.choose(logits, 0).tolist()
    assert {chosen[row] for row in range(1, 20, 2)} == {int(logits[0].argmax())}
    assert len({chosen[row] for row in range(0, 20, 2)}) > 1


def test_a_repetition_penalty_counts_tokens_and_never_the_end() -> None:
    """What was drawn becomes less likely by the row's own factor; EOS, column 0, is not penalised."""
    logits = torch.tensor([[1.0, 3.0, 2.0, -5.0]])
    one = sampler([prompt(temperature=0.0, repetition_penalty=2.0)], 4)
    assert [int(one.choose(logits, step)) for step in range(3)] == [
        1,
        2,
        1,
    ]  # 3, then 2 against 1.5, then 1.5 and EOS's 1
    ended = torch.tensor([[3.0, 2.0, -5.0, -5.0]])
    assert [int(one.choose(ended, step)) for step in range(3, 6)] == [0, 0, 0]


@settings(max_examples=25, deadline=None)
@given(
    steps=st.integers(1, 3 * NOISE_STEPS),
    leaves_at=st.integers(0, 3 * NOISE_STEPS),
    position=st.integers(0, 2),
    seeds=st.lists(st.integers(0, 2**31 - 1), min_size=3, max_size=3),
)
def test_a_row_draws_the_same_whoever_stays_or_leaves(
    steps: int, leaves_at: int, position: int, seeds: list[int]
) -> None:
    """Noise comes from the row's own generator: neighbours, their number and when they leave change no draw."""
    flat = torch.zeros(1, COLUMNS)  # all columns are equally likely: the noise alone decides
    alone = sampler([prompt(seeds[position])])
    expected = [int(alone.choose(flat, step)) for step in range(steps)]
    together, row = sampler([prompt(seed) for seed in seeds]), position
    rows = 3
    drawn = []
    for step in range(steps):
        if step == leaves_at:
            together.keep(torch.tensor([position]))
            row, rows = 0, 1
        drawn.append(int(together.choose(flat.expand(rows, -1), step)[row]))
    assert drawn == expected


def test_keys_and_values_grow_by_blocks_and_lose_nothing() -> None:
    """The cache gives every column that was written, in order, across growth and after rows have left."""
    cache = RowCache(4)
    written = [torch.randn(3, 2, new, 5) for new in (7, 1, 1, 1, 1, 1, 1)]
    for layer in (0, 1):
        for number, new in enumerate(written):
            keys, values = cache.update(new + layer, -new, layer)
            whole = torch.cat(written[: number + 1], 2)
            assert torch.equal(keys, whole + layer)
            assert torch.equal(values, -whole)
    cache.keep(torch.tensor([2, 0]))
    keys, _ = cache.update(torch.zeros(2, 2, 1, 5), torch.zeros(2, 2, 1, 5), 1)
    assert torch.equal(keys[:, :, :-1], torch.cat(written, 2)[[2, 0]] + 1)
