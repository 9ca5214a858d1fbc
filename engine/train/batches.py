"""Which examples make a batch, and in which order.

Pure: the same lengths, seed and epoch give the same batches on any machine.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from engine.train.seeds import derive

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
    batches = _pack(sorted(range(len(lengths)), key=blurred.__getitem__), lengths, batch_tokens)
    draw.shuffle(batches)
    return batches


def fixed_batches(lengths: Sequence[int], *, batch_tokens: int) -> list[Batch]:
    """Batches for validation: the same ones every time, by length."""
    return _pack(sorted(range(len(lengths)), key=lambda i: (lengths[i], i)), lengths, batch_tokens)


def total_steps(lengths: Sequence[int], *, batch_tokens: int, seed: int, epochs: int) -> int:
    """Steps of a whole training; epochs differ by a step or two, so all are counted."""
    return sum(len(epoch_batches(lengths, batch_tokens=batch_tokens, seed=seed, epoch=e)) for e in range(1, epochs + 1))


def _pack(order: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[Batch]:
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
