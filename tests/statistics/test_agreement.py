"""Krippendorff's alpha against published tables, an independent implementation, and by hand."""

from __future__ import annotations

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.statistics.agreement import MeasurementLevel, alpha
from engine.types import BadInput

KRIPPENDORFF = (
    "* * * * * 3 4 1 2 1 1 3 3 * 3",
    "1 * 2 1 3 3 4 3 * * * * * * *",
    "* * 2 1 3 4 4 * 2 1 1 3 3 * 4",
)


# Krippendorff (2011), section C: four observers, twelve units.
RELIABILITY = (
    "1 2 3 3 2 1 4 1 2 * * *",
    "1 2 3 3 2 2 4 1 2 5 * 3",
    "* 3 3 3 2 3 4 2 2 5 1 *",
    "1 2 3 3 2 4 4 1 2 5 1 *",
)


def units_of(rows: tuple[str, ...]) -> list[list[float]]:
    return [[float(x) for x in column if x != "*"] for column in zip(*(row.split() for row in rows), strict=True)]


@pytest.mark.parametrize(
    ("rows", "level", "published"),
    [
        (KRIPPENDORFF, "nominal", 0.691358),
        (KRIPPENDORFF, "ordinal", 0.806721),
        (KRIPPENDORFF, "interval", 0.810845),
        (KRIPPENDORFF, "ratio", 0.808944),
        (RELIABILITY, "nominal", 0.743),
        (RELIABILITY, "ordinal", 0.815),
        (RELIABILITY, "interval", 0.849),
        (RELIABILITY, "ratio", 0.797),
    ],
)
def test_published_tables(rows: tuple[str, ...], level: str, published: float) -> None:
    """Missing answers, every level: the numbers that are in print, to their digits."""
    digits = 1e-6 if rows is KRIPPENDORFF else 5e-4
    assert alpha(units_of(rows), level) == pytest.approx(published, abs=digits)


@given(
    st.lists(st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=3, max_size=3), min_size=2, max_size=8),
    st.sampled_from(list(MeasurementLevel)),
)
def test_another_implementation_agrees(items: list[list[int | None]], level: MeasurementLevel) -> None:
    """Whatever is answered and missing, at every level."""
    found = alpha([[x for x in item if x is not None] for item in items], level)
    assume(found is not None)
    data = np.array([[np.nan if x is None else x for x in item] for item in items], dtype=float).T
    theirs = krippendorff.alpha(reliability_data=data, level_of_measurement=level.value)
    assert found == pytest.approx(theirs, abs=1e-9)


def test_words_have_no_order() -> None:
    """Only the nominal level takes words, and a ratio scale starts at 0."""
    with pytest.raises(BadInput, match="'pass' is no number"):
        alpha([["pass", "fail"]], "ordinal")
    with pytest.raises(BadInput, match="negative"):
        alpha([[-1.0, 2.0]], "ratio")


def test_agreement_by_hand() -> None:
    """Two reviewers, four clips, one disagreement: 2 of 8 answers fail, alpha = 1 - 7 * 2 / 24 by hand with counts 5
    and 3.
    """
    units = [["pass", "pass"], ["pass", "pass"], ["fail", "fail"], ["pass", "fail"]]
    assert alpha(units) == pytest.approx(1 - 7 * 2 / 30)


@pytest.mark.parametrize("units", [[], [["pass"]], [["pass", "pass"], ["pass", "pass", "pass"]]])
def test_agreement_that_cannot_be_said(units: list[list[str]]) -> None:
    """Without two answers about one clip, or without any difference, there is no number."""
    assert alpha(units) is None


def test_full_agreement_is_one_and_systematic_disagreement_is_below_zero() -> None:
    """The ends of the scale mean what they say."""
    assert alpha([["pass", "pass"], ["fail", "fail"]]) == 1.0
    opposed = alpha([["pass", "fail"]] * 10)
    assert opposed is not None
    assert opposed < 0.0
