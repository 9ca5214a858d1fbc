"""Small plots of statistics as inline SVG: estimates with intervals, a matrix of pairs, a surface over epoch and scale.

Pure: numbers and words in, SVG out, in the page's own colours. Every plot has its numbers as text, and a title that
says what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 380  # of estimates: their words stay readable at 300 px
ROW = 30
LETTER_WIDTH, LABEL_WIDTH, EPOCH_WIDTH = 28, 150, 64
VALUE_WIDTH = 120
MOST_OVER_A_COLUMN = 3  # letters of a name; longer ones are numbered


@dataclass(frozen=True)
class Estimate:
    """One row of a forest plot; low and high are None where there is no interval."""

    name: str
    value: float
    low: float | None
    high: float | None
    told: str


def forest(rows: Sequence[Estimate], *, title: str, zero: float | None = 0.0) -> str:
    """Estimates as dots with their intervals, one under the other; a line at `zero`. A long name stands with its
    numbers over its interval, a letter beside it.
    """
    if not rows:
        return ""
    ends = [x for r in rows for x in (r.value, r.low, r.high) if x is not None]
    ends += [] if zero is None else [zero]
    low, high = min(ends), max(ends)
    pad = 0.06 * (high - low) or 1.0
    low, high = low - pad, high + pad
    over = any(len(row.name) > MOST_OVER_A_COLUMN for row in rows)
    left, right = (8, WIDTH - 8) if over else (LETTER_WIDTH, WIDTH - VALUE_WIDTH)
    words, tall = (ROW / 2, 1.5 * ROW) if over else (0.0, float(ROW))

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    height = tall * len(rows) + 26
    parts = [_tick(tick, x(tick), height) for tick in _ticks(low, high)]
    if zero is not None:
        parts.append(_line(x(zero), 0, x(zero), height - 20, "var(--quiet)", dash=True))
    for n, row in enumerate(rows):
        top = tall * n
        y = top + words + ROW / 2
        if row.low is not None and row.high is not None:
            parts.append(_line(x(row.low), y, x(row.high), y, "var(--accent)", width=2))
        parts.append(f'<circle cx="{x(row.value):.1f}" cy="{y:.1f}" r="5" fill="var(--accent)"/>')
        written = top + (ROW / 2 if over else ROW / 2 + 4)
        parts.append(_text(0, written, _short(row.name, 30)))
        parts.append(_text(WIDTH, written, row.told, anchor="end", colour="var(--quiet)"))
    return _svg(parts, height, title, width=WIDTH)


def matrix(names: Sequence[str], shares: Mapping[tuple[str, str], tuple[int, int]], *, title: str) -> str:
    """How often the row was preferred to the column: (wins, decided) by (row, column); darker is more often."""
    size = max(36, min(64, 400 // max(1, len(names))))
    numbered = any(len(name) > MOST_OVER_A_COLUMN for name in names)
    left = LABEL_WIDTH if numbered else LETTER_WIDTH
    parts = []
    for r, row in enumerate(names):
        y = 24 + size * r
        parts.append(_text(0, y + size / 2 + 4, f"{r + 1}  {_short(row, 18)}" if numbered else row))
        for c, column in enumerate(names):
            wins, decided = shares.get((row, column), (0, 0))
            if r == c or not decided:
                continue
            parts.append(_cell(left + size * c, y, size, wins / decided, f"{wins}/{decided}"))
    for c, column in enumerate(names):
        name = str(c + 1) if numbered else column
        parts.append(_text(left + size * (c + 0.5), 14, name, anchor="middle", colour="var(--quiet)"))
    return _svg(parts, 30 + size * len(names), title, width=left + size * len(names))


def surface(values: Mapping[tuple[float, float], tuple[float, str]], *, title: str) -> str:
    """Strength over epoch (down) and scale (across): (value, what is written) by (epoch, scale)."""
    epochs, scales = (sorted({key[n] for key in values}) for n in (0, 1))
    if not values:
        return ""
    numbers = [value for value, _ in values.values()]
    low, high = min(numbers), max(numbers)
    size = max(76, min(90, 400 // len(scales)))
    parts = []
    for r, epoch in enumerate(epochs):
        y = 24 + 40 * r
        parts.append(_text(0, y + 24, "base" if epoch == 0 else f"epoch {epoch:g}"))
        for c, scale in enumerate(scales):
            if (epoch, scale) in values:
                value, told = values[epoch, scale]
                share = (value - low) / (high - low) if high > low else 0.5
                parts.append(_cell(EPOCH_WIDTH + size * c, y, size, share, told, height=40))
    for c, scale in enumerate(scales):
        told = "" if scale == 0 else f"{scale:g}"
        parts.append(_text(EPOCH_WIDTH + size * (c + 0.5), 14, told, anchor="middle", colour="var(--quiet)"))
    return _svg(parts, 30 + 40 * len(epochs), title, width=EPOCH_WIDTH + size * len(scales))


# --------------------------------------------------------------------------------------------------------------- inside
def _svg(parts: Sequence[str], height: float, title: str, *, width: float) -> str:
    """As wide as it was drawn where there is room, and down to three quarters of it; then it is scrolled."""
    told = escape(title, quote=True)
    fits = f"max-width:{width:.0f}px;min-width:{min(300, 0.75 * width) if width <= WIDTH else 0.75 * width:.0f}px"
    return (
        f'<div class="em-figure em-scroll"><svg role="img" aria-label="{told}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'style="{fits}" font-size="13"><title>{told}</title>{"".join(parts)}</svg></div>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1, dash: bool = False) -> str:
    dashes = ' stroke-dasharray="4 3"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-width="{width:g}"{dashes}/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "var(--ink)") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _tick(value: float, x: float, height: float) -> str:
    told = f"{value:g}"
    return _line(x, 0, x, height - 20, "var(--rule)") + _text(
        x, height - 5, told, anchor="middle", colour="var(--quiet)"
    )


def _cell(x: float, y: float, width: float, share: float, told: str, *, height: float | None = None) -> str:
    tall = width if height is None else height
    return (
        f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{width - 2:.1f}" height="{tall - 2:.1f}" rx="4" '
        f'fill="var(--accent)" fill-opacity="{0.06 + 0.44 * share:.2f}"/>'
        + _text(x + width / 2, y + tall / 2 + 4, told, anchor="middle")
    )


def _ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 4
    step = 10.0 ** math.floor(math.log10(raw))
    step *= next(m for m in (1, 2, 5, 10) if m * step >= raw)
    first = math.ceil(low / step)
    return [round(n * step, 10) for n in range(first, math.floor(high / step) + 1)]


def _short(name: str, most: int = 20) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
