"""Presets: settings within their own bounds, with a reason each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import presets, run_config
from engine.presets import PRESETS, Preset
from engine.types import NotFound


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: f"{p.backend}-{p.name}")
def test_a_preset_passes_the_checks_that_a_form_does(preset: Preset) -> None:
    """No preset proposes what the run would refuse, and none is without a reason."""
    run_config.check(replace(preset.config, dataset="some"))
    assert preset.config.backend == preset.backend
    assert preset.purpose.endswith(".")
    assert preset.reason.endswith(".")


def test_names_are_unique_and_the_default_comes_first() -> None:
    """A backend and a name find one preset."""
    keys = [(p.backend, p.name) for p in PRESETS]
    assert len(set(keys)) == len(keys)
    assert presets.of("finch")[0].name == "default"
    assert presets.default("finch") == presets.of("finch")[0].config


def test_quick_and_preflight_are_the_beginning_of_the_default() -> None:
    """What a short preset shows is what the default's first epochs will be: only the epochs (and the name) differ."""
    config = presets.default("finch")
    for name in ("quick", "preflight"):
        short = presets.get("finch", name).config
        assert short == replace(config, epochs=short.epochs, name=short.name)
        assert short.epochs < config.epochs


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    """A typo is told what there is."""
    with pytest.raises(NotFound, match="it has: default, quick"):
        presets.get("finch", "quik")
    with pytest.raises(NotFound, match="some for: finch"):
        presets.of("wren")
