"""Plots of statistics: every number is there as text, and what is drawn lies where its value says."""

from __future__ import annotations

import re

from ui import plots
from ui.plots import Estimate


def circles(svg: str) -> list[float]:
    return [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]


def test_a_forest_is_in_order() -> None:
    """A larger value lies further right; the interval spans its dot; names are escaped and told in full."""
    svg = plots.forest(
        [Estimate("<A>", 1.0, 0.5, 1.5, "+1.00"), Estimate("B", -1.0, None, None, "-1.00")], title="Strength & more"
    )
    first, second = circles(svg)
    assert first > second
    assert "&lt;A&gt;" in svg
    assert 'aria-label="Strength &amp; more"' in svg
    assert svg.count('stroke="var(--accent)"') == 1


def test_one_value_alone_can_be_drawn() -> None:
    """Also when all are equal, and nothing is nothing."""
    assert circles(plots.forest([Estimate("A", 0.0, None, None, "0")], title="t"))
    assert plots.forest([], title="t") == ""


def test_a_matrix_shows_wins_of_decided() -> None:
    """The row against the column; what never met is left empty."""
    svg = plots.matrix(["A", "B", "C"], {("A", "B"): (9, 10), ("B", "A"): (1, 10)}, title="t")
    assert svg.count("<rect") == 2
    assert "9/10" in svg
    assert "1/10" in svg
    strong, weak = re.findall(r'fill-opacity="([\d.]+)"', svg)
    assert float(strong) > float(weak)


def test_long_names_are_numbered() -> None:
    """Columns are too narrow for them; rows say which number is whose."""
    svg = plots.matrix(["epoch 3 at 0.35", "base"], {("base", "epoch 3 at 0.35"): (1, 2)}, title="t")
    for word in ("1  epoch 3 at 0.35", "2  base", "1", "2"):
        assert f">{word}</text>" in svg


def test_a_surface_has_a_cell_a_candidate() -> None:
    """Epochs down, scales across, the base by name."""
    svg = plots.surface({(0.0, 0.0): (0.0, "0.0"), (2.0, 0.5): (1.0, "+1.0"), (4.0, 0.5): (2.0, "+2.0")}, title="t")
    assert svg.count("<rect") == 3
    for word in ("base", "epoch 2", "epoch 4", "0.5", "+2.0"):
        assert f">{word}</text>" in svg
