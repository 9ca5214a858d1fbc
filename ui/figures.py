"""Figures in the page's own colours: the response over scale, spectrograms. A run's curves are the browser's work.

matplotlib draws them as SVG with marker colours that are then replaced by the style sheet's words, so that one figure
is right in light and in dark and its text uses the page's font. A spectrogram is a PNG whose opacity is the energy;
the page's ink draws it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from engine.studio import Grid

# A colour that matplotlib writes -> the word that replaces it. The colours never show; they only have to differ.
INKS = {
    "#010203": "var(--ink)", "#010204": "var(--quiet)", "#010205": "var(--rule)", "#010206": "var(--side-a)",
    "#010207": "var(--side-b)", "#010208": "var(--none)", "#010209": "var(--fail)",
}  # fmt: skip
INK, QUIET, RULE, FIRST, SECOND, OTHER, BAD = INKS

MOST_NAMED = 7  # lines; of more only two have a colour and a name
LABEL_SHARE = 0.07  # of the axis: how far apart names stand
SPECTRUM_FFT = 1024
SPECTRUM_COLUMNS = 640
SPECTRUM_TOP_HZ = 8000
SPECTRUM_RANGE_DB = 60.0


def response(grid: Grid, label: str) -> str:
    """A measure over the scale, a line a checkpoint, the base dashed, as SVG; empty before anything was rendered."""
    lines = [
        (c, [(s, cell.value) for s in grid.scales if (cell := grid.cells.get((c.id, s))) and cell.value is not None])
        for c in grid.checkpoints
    ]
    lines = [(c, points) for c, points in lines if points]
    if not lines:
        return ""
    figure, axes = _figure(4.6, 2.8)
    base = _base_line(axes, grid)
    shown = {lines[(len(lines) - 1) // 2][0].id: SECOND, lines[-1][0].id: FIRST}
    ends = []
    for checkpoint, points in lines:
        scales, values = [0.0, *(s for s, _ in points)], [v for _, v in points]
        values = [base if base is not None else values[0], *values]
        colour = shown.get(checkpoint.id, OTHER)
        axes.plot(
            scales,
            values,
            color=colour,
            linewidth=2 if checkpoint.id in shown else 1,
            zorder=3 if checkpoint.id in shown else 2,
        )
        if checkpoint.id in shown or len(lines) <= MOST_NAMED:
            ends.append((scales[-1], values[-1], f"epoch {checkpoint.epoch}", colour))
    _label_ends(axes, ends)
    axes.set_xlabel("lora_scale", color=QUIET)
    return _svg(figure, f"{label} over scale; the dashed line is the base")


def trend(grid: Grid, label: str) -> str:
    """A measure over the epochs, a line a scale, the base dashed, as SVG; empty with fewer than two checkpoints."""
    lines = []
    for scale in (s for s in grid.scales if s):
        own = [(c.epoch, grid.cells.get((c.id, scale))) for c in grid.checkpoints]
        points = [(epoch, cell.value) for epoch, cell in own if cell is not None and cell.value is not None]
        if len(points) > 1:
            lines.append((scale, points))
    if not lines:
        return ""
    figure, axes = _figure(5.4, 2.3)
    _base_line(axes, grid)
    colours = {lines[0][0]: FIRST, lines[-1][0]: SECOND}
    ends = []
    for scale, points in lines:
        epochs, values = [e for e, _ in points], [v for _, v in points]
        colour = colours.get(scale, OTHER)
        axes.plot(epochs, values, color=colour, linewidth=2 if scale in colours else 1)
        if scale in colours or len(lines) <= MOST_NAMED:
            ends.append((float(epochs[-1]), values[-1], f"at {scale:g}", colour))
    _label_ends(axes, ends)
    axes.set_xlabel("epoch", color=QUIET)
    axes.set_xticks(sorted({epoch for _, points in lines for epoch, _ in points}))
    return _svg(figure, f"{label} over the epochs; the dashed line is the base")


def _base_line(axes: Axes, grid: Grid) -> float | None:
    """The base as a dashed line; returns its value."""
    base = next((cell.value for (checkpoint, _), cell in grid.cells.items() if checkpoint is None), None)
    if base is not None:
        axes.axhline(base, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    return base


def spectrum_png(path: Path) -> bytes:
    """A clip's spectrogram up to 8 kHz as a PNG of one ink: 60 dB of energy below the loudest bin as opacity."""
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32")
    return spectrum(samples, rate)


def spectrum(samples: Any, rate: int) -> bytes:
    """The same, of samples: float mono, shape (n,), at `rate` Hz."""
    import numpy as np
    from PIL import Image

    padded = np.pad(samples, (0, max(0, SPECTRUM_FFT - len(samples))))
    starts = np.linspace(0, len(padded) - SPECTRUM_FFT, SPECTRUM_COLUMNS).astype(int)
    frames = np.lib.stride_tricks.sliding_window_view(padded, SPECTRUM_FFT)[starts] * np.hanning(SPECTRUM_FFT)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    power = power[:, : int(SPECTRUM_TOP_HZ / rate * SPECTRUM_FFT)]
    level = 10 * np.log10(power + 1e-12)
    share = np.clip((level - level.max() + SPECTRUM_RANGE_DB) / SPECTRUM_RANGE_DB, 0, 1)
    alpha = (255 * share.T[::-1]).astype(np.uint8)
    image = Image.merge("LA", (Image.new("L", alpha.shape[::-1]), Image.fromarray(alpha)))
    out = io.BytesIO()
    image.save(out, format="PNG", optimize=True)
    return out.getvalue()


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(colors=QUIET, length=0, labelsize=8)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.margins(x=0.02)
    return figure, axes


def _label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Name lines at their ends instead of in a legend: x, y, name and colour of each. Names at one x keep apart."""
    low, high = axes.get_ylim()
    reached: dict[float, float] = {}  # by x: how far up it is taken
    for x, y, text, colour in sorted(ends):
        place = max(y, reached.get(x, low) + LABEL_SHARE * (high - low) if x in reached else y)
        reached[x] = place
        axes.annotate(
            text, (x, place), xytext=(6, 0), textcoords="offset points", color=colour, fontsize=8, va="center",
            annotation_clip=False,
        )  # fmt: skip


def _svg(figure: Figure, title: str) -> str:
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "earmark"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    drawn = out.getvalue()[out.getvalue().index("<svg") :]
    for colour, word in INKS.items():
        drawn = drawn.replace(colour, word)
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'(<svg [^>]*?)width="[^"]*"', r"\1", drawn, count=1)
    drawn = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", drawn, count=1)
    drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    return f'<div class="em-figure">{drawn}</div>'
