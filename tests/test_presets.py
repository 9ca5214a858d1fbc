"""Presets: settings within their own bounds, with a reason and a source each, offered where they can be used."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from engine import backends, presets, run_config
from engine.presets import PRESETS
from engine.types import NotFound, Preset, RunConfig


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: f"{p.backend}-{p.name}")
def test_a_preset_passes_the_checks_that_a_form_does(preset: Preset, monkeypatch: pytest.MonkeyPatch) -> None:
    """No preset proposes what a run would refuse, and none is without a reason and somebody's name."""
    monkeypatch.setattr(run_config, "_check_paged", lambda device: None)  # that is this machine's business
    run_config.check(replace(preset.config, dataset="some"))
    assert preset.config.backend == preset.backend
    assert preset.purpose.endswith(".")
    assert preset.reason.endswith(".")
    assert preset.source


def test_names_are_unique_and_the_default_comes_first() -> None:
    """A backend and a name find one preset; every family has a default, and its first one is that."""
    keys = [(p.backend, p.name) for p in PRESETS]
    assert len(set(keys)) == len(keys)
    for backend in {preset.backend for preset in PRESETS}:
        assert next(p for p in PRESETS if p.backend == backend).name == "default"
    assert presets.default("finch") == presets.of("finch")[0].config


def test_only_models_that_are_there_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets of a model wait until its backend is registered."""
    monkeypatch.delitem(backends.INFO, "qwen3_tts", raising=False)
    with pytest.raises(NotFound, match=r"some for: .*finch"):
        presets.of("qwen3_tts")
    assert presets.names("qwen3_tts") == ()
    monkeypatch.setitem(backends.INFO, "qwen3_tts", "somewhere")
    assert presets.names("qwen3_tts")[:3] == ("default", "0.6b", "lora-preflight")


def test_a_preset_names_parts_and_modules_that_the_model_has() -> None:
    """Of each model whose weights are here: a preset that trains a part which is not there could never start."""
    for backend in backends.INFO:
        try:
            info = backends.info(backend)
        except NotFound:  # its weights are somebody else's to bring
            continue
        for preset in presets.of(backend):
            assert set(preset.config.parts) <= set(info.parts)
            assert info.full_sft or preset.config.method != "full"


@pytest.mark.parametrize("preset", [p for p in PRESETS if p.name == "lora-preflight"], ids=lambda p: p.backend)
def test_a_lora_preflight_has_two_checkpoints_within_500_steps(preset: Preset) -> None:
    """100 to 500 steps and at least two checkpoints, of the default's own recipe: what it shows carries over."""
    config = preset.config
    assert config.method == "lora"
    assert 100 <= config.max_steps <= 500
    assert config.save_unit == "steps"
    assert config.max_steps // config.save_every >= 2
    default = next(p.config for p in PRESETS if p.backend == preset.backend)
    changed = {f.name for f in fields(RunConfig) if getattr(config, f.name) != getattr(default, f.name)}
    assert changed <= {"name", "epochs", "max_steps", "save_every", "save_unit"}


def test_quick_is_the_beginning_of_the_default() -> None:
    """What a short preset shows is what the default's first epochs will be: only the epochs differ."""
    config = presets.default("finch")
    short = presets.get("finch", "quick").config
    assert short == replace(config, epochs=short.epochs)
    assert short.epochs < config.epochs


def test_full_comes_with_a_stop_and_small_with_the_same_step() -> None:
    """Full fine-tuning does not run on past its best region, and a small card's step sees as many tokens."""
    full, small, default = (presets.get("finch", name).config for name in ("full", "small-gpu", "default"))
    assert (full.method, full.stop_when) == ("full", ("validation_rising",))
    assert small.batch_tokens * small.accumulation == default.batch_tokens
    for preset in PRESETS:
        if preset.config.method == "full" and preset.backend not in ("finch", "indextts2"):
            assert (preset.config.optimizer, preset.config.gradient_checkpointing) == ("paged_adamw_8bit", True)


def test_a_duplicate_is_accepted_by_nobody() -> None:
    """Who accepted a dataset's errors did so for one run."""
    config = RunConfig(dataset="d", rank=3, accepted_by="Ada")
    assert presets.without_person(config) == RunConfig(dataset="d", rank=3)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    """A typo is told what there is."""
    with pytest.raises(NotFound, match="it has: default, quick"):
        presets.get("finch", "quik")
    with pytest.raises(NotFound, match=r"some for: .*finch"):
        presets.of("wren")
