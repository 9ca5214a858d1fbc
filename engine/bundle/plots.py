"""Small figures of a model card as SVG text: shares won with their intervals, measures by tier.

Knows the bundle's record and how a line is drawn. A library for plots would not be lighter than these two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

PREFERENCES = "plots/preferences.svg"
ROW, LEFT, WIDTH, TOP = 28, 190, 320, 30
INK, ACCENT, QUIET = "#333", "#2f6f6a", "#bbb"


def figures(facts: Mapping[str, Any]) -> dict[str, str]:
    """Every figure that the record has numbers for, by its name in the bundle."""
    return {PREFERENCES: preferences(facts["preferences"])} if facts["preferences"] else {}


def preferences(rows: Sequence[Mapping[str, Any]]) -> str:
    """A forest plot: the share of decided comparisons that the voice won, with its 95 % interval; the line is 50 %."""
    height = TOP + ROW * len(rows) + 30
    drawn = [_row(TOP + ROW * (place + 0.5), row) for place, row in enumerate(rows)]
    ticks = [
        f'<text x="{_x(share)}" y="{height - 8}" text-anchor="middle">{share:.0%}</text>' for share in (0.0, 0.5, 1.0)
    ]
    middle = f'<line x1="{_x(0.5)}" x2="{_x(0.5)}" y1="{TOP}" y2="{height - 26}" stroke="{QUIET}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 40}" height="{height}" role="img" '
        f'aria-label="Shares won with 95 % intervals" font-family="sans-serif" font-size="12" fill="{INK}">'
        f'<rect width="100%" height="100%" fill="white"/><text x="10" y="18">Preferred over</text>{middle}'
        + "".join(drawn + ticks)
        + "</svg>\n"
    )


def _row(y: float, row: Mapping[str, Any]) -> str:
    decided = row["wins"] + row["losses"]
    share = row["wins"] / decided if decided else 0.5
    return (
        f'<text x="10" y="{y + 4}">{escape(str(row["against"])[:26])}</text>'
        f'<line x1="{_x(row["low"])}" x2="{_x(row["high"])}" y1="{y}" y2="{y}" stroke="{ACCENT}" stroke-width="2"/>'
        f'<circle cx="{_x(share)}" cy="{y}" r="4" fill="{ACCENT}"/>'
    )


def _x(share: float) -> float:
    return round(LEFT + WIDTH * share, 1)
