"""In which order questions come: Williams squares to the count, passes that are balanced, no line twice in a row."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.listening.order import cells, williams


@pytest.mark.parametrize("n", range(2, 13))
def test_a_williams_square_is_balanced_exactly(n: int) -> None:
    """Even n: n rows, each ordered pair adjacent once; odd n: 2n rows, twice. Each place has each treatment alike."""
    rows = williams(n)
    times = 1 if n % 2 == 0 else 2
    assert len(rows) == times * n
    assert all(sorted(row) == list(range(n)) for row in rows)
    assert len(set(rows)) == len(rows)
    after = Counter(pair for row in rows for pair in pairwise(row))
    assert after == {(a, b): times for a in range(n) for b in range(n) if a != b}
    for place in range(n):
        assert Counter(row[place] for row in rows) == dict.fromkeys(range(n), times)


def test_published_first_rows() -> None:
    """The first rows for four and six treatments, as the literature has them."""
    assert williams(4)[0] == (0, 1, 3, 2)
    assert williams(6)[0] == (0, 1, 5, 2, 4, 3)
    assert williams(1) == ((0,),)


def test_no_treatment_is_no_square() -> None:
    """A square of nothing is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least one"):
        williams(0)


@given(st.integers(1, 12), st.integers(1, 8), st.integers(0, 20), st.integers(0, 1000), st.booleans())
def test_any_part_of_a_sitting_is_balanced(n: int, lines: int, start: int, seed: int, is_square: bool) -> None:
    """Every treatment meets every line once; after any number of questions no treatment is more than one ahead."""
    random = Random(seed)
    square = williams(n)
    orders = [square[seed % len(square)]] if is_square else [tuple(random.sample(range(n), n)) for _ in range(lines)]
    found = list(cells(n, lines, orders, start=start))
    assert sorted(found) == [(treatment, line) for treatment in range(n) for line in range(lines)]
    for length in range(1, len(found)):
        counts = Counter(treatment for treatment, _ in islice(found, length))
        assert max(counts.values()) - min(counts.get(treatment, 0) for treatment in range(n)) <= 1


@given(st.integers(2, 12), st.integers(3, 8), st.integers(0, 20), st.integers(0, 1000))
def test_a_row_hears_no_line_twice_in_a_row(n: int, lines: int, start: int, row: int) -> None:
    """With three lines or more, the reviewer of a square's row never hears a sentence twice in a row."""
    square = williams(n)
    found = list(cells(n, lines, [square[row % len(square)]], start=start))
    assert all(one[1] != other[1] for one, other in pairwise(found))
