"""Figures: drawn in the page's colours, and true to their numbers."""

from __future__ import annotations

import io
import itertools
import re

import numpy as np
from PIL import Image

from tests.ui.fake_studio import RUN_ID, FakeStudio
from ui import figures


def test_a_figure_has_no_colour_of_its_own(judged: FakeStudio) -> None:
    """Every colour is a word of the style sheet, so light and dark need one figure."""
    svg = figures.response(judged.grid(RUN_ID, "words"), "word errors")
    assert "var(--side-a)" in svg
    assert not re.search(r"#0102\d\d", svg)
    assert not set(re.findall(r"(?:stroke|fill): (#[0-9a-f]{6})", svg)) - {"#ffffff", "#000000"}


def test_a_figure_says_what_it_shows(judged: FakeStudio) -> None:
    """A screen reader hears the figure's title; its text is text."""
    svg = figures.response(judged.grid(RUN_ID, "words"), "word errors")
    assert 'aria-label="word errors over scale; the dashed line is the base"' in svg
    assert "<text" in svg


def test_every_line_of_few_has_its_name_and_names_keep_apart(judged: FakeStudio) -> None:
    """Six checkpoints that end at nearly one height are told apart by their names, none of them over another."""
    grid = judged.grid(RUN_ID, "words")
    svg = figures.response(grid, "word errors")
    assert all(f">epoch {checkpoint.epoch}</text>" in svg for checkpoint in grid.checkpoints)
    places = [(x, float(y)) for x, y in re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>epoch \d', svg)]
    heights = sorted(y for _, y in places)
    assert len(heights) == len(grid.checkpoints)
    assert all(later - earlier > 8 for earlier, later in itertools.pairwise(heights))


def test_nothing_is_drawn_before_there_is_something(studio: FakeStudio) -> None:
    """An unrendered grid is no empty axes."""
    assert figures.response(studio.grid(RUN_ID, "words"), "word errors") == ""


def test_the_same_numbers_draw_the_same_figure(judged: FakeStudio) -> None:
    """A poll that changed nothing sends the same markup."""
    grid = judged.grid(RUN_ID, "words")
    assert figures.response(grid, "word errors") == figures.response(grid, "word errors")


def spectrum(samples: np.ndarray) -> np.ndarray:
    image = Image.open(io.BytesIO(figures.spectrum(samples.astype(np.float32), 24_000)))
    return np.asarray(image.getchannel("A"))


def test_a_tone_is_a_line_at_its_height() -> None:
    """Low notes are at the bottom, and the height is the frequency up to 8 kHz."""
    t = np.arange(24_000) / 24_000
    for hz in (500, 2000, 7000):
        rows = spectrum(np.sin(2 * np.pi * hz * t)).mean(axis=1)
        place = 1 - (int(rows.argmax()) + 0.5) / len(rows)
        assert abs(place * figures.SPECTRUM_TOP_HZ - hz) < 60


def test_silence_before_sound_is_empty() -> None:
    """Time runs from left to right."""
    noise = np.concatenate([np.zeros(12_000), np.random.default_rng(0).standard_normal(12_000)])
    alpha = spectrum(noise)
    assert alpha[:, :280].max() == 0
    assert alpha[:, 360:].mean() > 100


def test_a_clip_shorter_than_a_frame_is_drawn_too() -> None:
    """A clip of ten samples is a picture, not a fault."""
    assert spectrum(np.ones(10)).shape == (341, figures.SPECTRUM_COLUMNS)
