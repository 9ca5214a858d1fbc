"""Rows that end at different steps share a batch, and each has what is its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch

from engine.backends import drawn_rows
from engine.types import Stop


class Counting:
    """Row n ends before its n-th code (None: never); code k of row n is (n, k)."""

    def __init__(self, ends: Sequence[int | None]) -> None:
        self.ends = list(enumerate(ends))
        self.widths: list[int] = []

    def step(self, step: int) -> tuple[list[tuple[int, int]], list[bool]]:
        self.widths.append(len(self.ends))
        return [(row, step) for row, _ in self.ends], [end == step for _, end in self.ends]

    def keep(self, places: Sequence[int]) -> None:
        assert places
        self.ends = [self.ends[place] for place in places]


@contextmanager
def serving(rows: Sequence[int]) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("end", "cap", "codes", "stop"),
    [
        (None, 1, 1, Stop.CAP),
        (None, 2, 2, Stop.CAP),
        (2, 2, 2, Stop.CAP),  # the code that fills the cap is kept, and nobody knows that the end would have come
        (2, 3, 2, Stop.EOS),
        (0, 3, 0, Stop.EOS),
    ],
)
def test_a_row_ends_by_itself_or_at_its_cap(end: int | None, cap: int, codes: int, stop: Stop) -> None:
    """Its codes are those before its end, whatever shares its batch, and the end says which it was."""
    for others in ([], [5], [None, 1, 4]):
        drawn = drawn_rows.draw(Counting([end, *others]), [cap, *[7] * len(others)], serving)[0]
        assert (drawn.codes, drawn.stop) == ([(0, step) for step in range(codes)], stop)


def test_rows_that_are_done_leave_once_that_is_worth_the_copy() -> None:
    """Of eight rows the first one that ends stays; with the second a quarter is done, and both go. Who serves them is
    told which rows are left.
    """
    batch, served = Counting([1, 2, 9, 9, 9, 9, 9, 9]), []

    @contextmanager
    def watched(rows: Sequence[int]) -> Iterator[None]:
        served.append(list(rows))
        yield

    drawn = drawn_rows.draw(batch, [99] * 8, watched)
    assert batch.widths == [8, 8, 8, *[6] * 7]
    assert served == [list(range(8)), [2, 3, 4, 5, 6, 7]]
    assert [len(row.codes) for row in drawn] == [1, 2, 9, 9, 9, 9, 9, 9]


def test_no_rows_are_no_steps() -> None:
    """An empty batch is never computed."""
    assert drawn_rows.draw(Counting([]), [], serving) == []


def test_prompts_end_together() -> None:
    """Padding stands before the shorter one, and the mask is 0 on it."""
    inputs, mask = drawn_rows.left_padded([torch.ones(1, 2), torch.ones(3, 2)])
    assert mask.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert torch.equal(inputs[:, :, 0], mask.float())
