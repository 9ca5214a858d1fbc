"""The look keeps its promises: one place for colours, legible in light and in dark, Gradio's parts point at it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ui import theme

LOOK = Path(__file__).parents[2] / "assets" / "ui"
CSS = (LOOK / "earmark.css").read_text(encoding="utf-8")
GRADIO_CSS = (LOOK / "gradio.css").read_text(encoding="utf-8")


def tokens(selector: str) -> dict[str, str]:
    block = re.search(re.escape(selector) + r" \{(.*?)\n\}", CSS, re.DOTALL)
    assert block is not None
    return dict(re.findall(r"--([\w-]+): ([^;]+);", block.group(1)))


LIGHT = tokens(":root")
DARK = LIGHT | tokens(".dark")


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.1)."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "card", "soft"])
@pytest.mark.parametrize("text", ["ink", "quiet", "pass", "fail", "wait"])
def test_text_is_legible(look: dict[str, str], ground: str, text: str) -> None:
    """Every text colour reaches 4.5 to 1 on every ground (WCAG 2.1, level AA)."""
    assert contrast(look[text], look[ground]) >= 4.5


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=["light", "dark"])
def test_buttons_and_cells_are_legible(look: dict[str, str]) -> None:
    """The same on the accent and on every step of the grid's colours."""
    assert contrast(look["accent-ink"], look["accent"]) >= 4.5
    for step in range(5):
        assert contrast(look["heat-ink"], look[f"heat{step}"]) >= 4.5


def test_dark_changes_every_colour_and_nothing_else() -> None:
    """A colour that is forgotten in dark stays bright; sizes and fonts are one for both."""
    colours = {name for name, value in LIGHT.items() if value.startswith("#")}
    assert colours == set(tokens(".dark"))


def test_every_word_that_is_used_is_defined() -> None:
    """A misspelt colour is no colour at all, and nobody sees it missing until dark."""
    used = set(re.findall(r"var\(--([\w-]+)\)", CSS + GRADIO_CSS + " ".join(theme._WEARS.values())))
    local = {"side", "shape"}  # set by a pad and a chip for their own children
    assert used - local <= LIGHT.keys()


def test_colours_live_in_one_place() -> None:
    """No other file of ours names a colour: figures and Gradio's theme point at the style sheet's words."""
    rules = re.sub(r"(:root|\.dark) \{.*?\n\}", "", CSS, flags=re.DOTALL)
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b", rules + GRADIO_CSS)
    assert not [value for value in theme._WEARS.values() if value.startswith("#")]


def test_gradio_knows_every_variable_that_is_set() -> None:
    """A new Gradio that renames a variable fails here, not silently on the page."""
    made = theme.theme()
    for name in theme._WEARS:
        assert hasattr(made, name), name


def test_the_pages_are_in_the_bar_in_the_order_of_the_loop() -> None:
    """Data, Runs, Sweep, Listen, Gate, Voices: the way that work goes."""
    assert [name for name, _ in theme.PAGES] == [
        "Data",
        "Runs",
        "Sweep",
        "Tests",
        "Listen",
        "Results",
        "Gate",
        "Voices",
    ]
