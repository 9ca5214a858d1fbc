"""Which examples make a batch, and in which order.

Pure: the same lengths, seed and epoch give the same batches on any machine.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from engine.train.seeds import derive
from engine.types import RunConfig

Batch = tuple[int, ...]
# Sorting by length wastes least padding, but always puts the same neighbours together; lengths are blurred by up to
# this share.
LENGTH_BLUR = 0.2


def epoch_batches(lengths: Sequence[int], *, batch_tokens: int, seed: int, epoch: int) -> list[Batch]:
    """Every example once, in batches of similar lengths, in an order of this epoch's own.

    `lengths` are tokens; a batch's padded size (longest times count) is at most `batch_tokens`, except that an
    example longer than that is a batch alone.
    """
    draw = random.Random(derive(seed, "order", epoch))
    blurred = [length * (1 + LENGTH_BLUR * draw.random()) for length in lengths]
    batches = pack(sorted(range(len(lengths)), key=blurred.__getitem__), lengths, batch_tokens)
    draw.shuffle(batches)
    return batches


def fixed_batches(lengths: Sequence[int], *, batch_tokens: int) -> list[Batch]:
    """Batches for validation: the same ones every time, by length."""
    return pack(sorted(range(len(lengths)), key=lambda i: (lengths[i], i)), lengths, batch_tokens)


def total_steps(lengths: Sequence[int], config: RunConfig) -> int:
    """Steps of a whole training; epochs differ by a batch or two, so all are counted, as far as the config goes."""
    steps = 0
    for epoch in range(1, config.epochs + 1):
        made = epoch_batches(lengths, batch_tokens=config.batch_tokens, seed=config.seed, epoch=epoch)
        steps += math.ceil(len(made) / config.accumulation)
        if config.max_steps and steps >= config.max_steps:
            return config.max_steps
    return steps


def padded_tokens(batch: Batch, lengths: Sequence[int]) -> int:
    """What a batch holds with its padding: its longest example, times their count."""
    return max(lengths[i] for i in batch) * len(batch)


def pack(order: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[Batch]:
    """Examples in an order, cut into batches whose padded size is at most `batch_tokens`."""
    batches: list[Batch] = []
    current: list[int] = []
    longest = 0
    for index in order:
        longest = max(longest, lengths[index])
        if current and longest * (len(current) + 1) > batch_tokens:
            batches.append(tuple(current))
            current, longest = [], lengths[index]
        current.append(index)
    if current:
        batches.append(tuple(current))
    return batches
