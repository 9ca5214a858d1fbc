"""Tiers by measured durations: when a line counts for the tier that its script puts it into."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import tiers
from engine.types import Tier
from tests.judgement_factory import BASE, make_candidate, make_clip


@pytest.mark.parametrize(
    ("durations", "tier"),
    [
        ((), None),
        ((1.2,), Tier.SHORT),
        ((9.9,), Tier.SHORT),
        ((10.0,), Tier.MEDIUM),
        ((29.9,), Tier.MEDIUM),
        ((30.0,), Tier.LONG),
        ((31.0, 33.0, 12.0), Tier.LONG),
        ((31.0, 12.0, 12.5), Tier.MEDIUM),
    ],
)
def test_the_median_decides_the_tier(durations: tuple[float, ...], tier: Tier | None) -> None:
    """One take that broke off or ran away moves a line out of no tier."""
    assert tiers.measured_tier(durations) is tier


def test_a_line_counts_for_the_tiers_that_it_reaches() -> None:
    """Too short a line cannot stand for the long tier; a long one may stand for what it was meant for."""
    short = tiers.fit("a", Tier.LONG, [21.0])
    assert not short.counts
    assert "too short for the long tier" in short.sentence
    assert "medium line" in short.sentence
    long = tiers.fit("a", Tier.SHORT, [12.0])
    assert long.counts
    assert "long for the short tier" in long.sentence
    assert tiers.fit("a", Tier.LONG, []).counts
    assert "not rendered yet" in tiers.fit("a", Tier.LONG, []).sentence


def test_only_the_base_is_measured() -> None:
    """A candidate that drops half of the long line is not excused from the long tier by its own short clip."""
    base = replace(make_clip(BASE, line="l", tier=Tier.LONG), duration_sec=36.0)
    broken = replace(make_clip(make_candidate(), line="l", tier=Tier.LONG), duration_sec=14.0)
    found = tiers.fits([broken, base, broken])
    assert found["l"].measured is Tier.LONG
    assert tiers.fits([broken]) == {}
