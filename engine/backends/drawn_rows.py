"""The loop of a model that draws code after code for a batch, each row as if it were alone.

Knows that rows end one after the other, by themselves or at their cap, and that rows that are done leave the batch once
that is worth the copy. What a step computes and what a code is, a frame of them for some, is its model's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from engine.types import Stop

SHRINK_BELOW = 0.75  # finished rows leave the batch once fewer than this share of it is alive

Serving = Callable[[Sequence[int]], AbstractContextManager[None]]
"""Opens a block in which the model's batch consists of these rows of the prompts, in this order."""

OnStep = Callable[[int, int], None]
"""Told the steps so far and the most there can be; gives up by raising."""


Code = TypeVar("Code")
Code_co = TypeVar("Code_co", covariant=True)


class Batch(Protocol[Code_co]):
    """The rows that are still drawing: their inputs, masks, cache and generators."""

    def step(self, step: int) -> tuple[Sequence[Code_co], Sequence[bool]]:
        """The next code of every row, and which rows ended instead."""
        ...

    def keep(self, places: Sequence[int]) -> None:
        """Only the rows at these places go on, in this order; at least one."""
        ...


@dataclass
class Drawn(Generic[Code]):
    """The codes of a row, without its end, and how it ended."""

    codes: list[Code] = field(default_factory=list)
    stop: Stop | None = None

    def note(self, code: Code, *, ended: bool, cap: int) -> None:
        """One step of this row. What it draws once it is done, and still in the batch, is not its own."""
        if self.stop is not None:
            return
        if ended:
            self.stop = Stop.EOS
            return
        self.codes.append(code)
        if len(self.codes) >= cap:
            self.stop = Stop.CAP


@torch.inference_mode()
def draw(batch: Batch[Code], caps: Sequence[int], serving: Serving, on_step: OnStep | None = None) -> list[Drawn[Code]]:
    """The codes of every row of `batch`, of which each may have as many as its cap."""
    drawn: list[Drawn[Code]] = [Drawn() for _ in caps]
    rows, longest, step = list(range(len(caps))), max(caps, default=0), 0
    while rows:
        with serving(rows):
            while True:
                if on_step is not None:
                    on_step(step, longest)
                codes, ended = batch.step(step)
                step += 1
                for row, code, has_ended in zip(rows, codes, ended, strict=True):
                    drawn[row].note(code, ended=has_ended, cap=caps[row])
                alive = [place for place, row in enumerate(rows) if drawn[row].stop is None]
                if len(alive) <= SHRINK_BELOW * len(rows):
                    break
        rows = [rows[place] for place in alive]
        if rows:
            batch.keep(alive)
    return drawn


def left_padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Inputs (rows, longest, width) and mask (rows, longest) of embeddings (positions, width): the rows end together,
    so all speak from the same column on.
    """
    longest = max(len(row) for row in rows)
    inputs = torch.stack([functional.pad(row, (0, 0, longest - len(row), 0)) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=inputs.device)
    return inputs, mask
