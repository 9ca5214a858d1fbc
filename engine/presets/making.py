"""How presets of one kind differ from a model's default: the first steps alone, a small card, all weights.

Knows the memory stack that fitted a 24 GB card and who said so. Knows no model.
"""

from __future__ import annotations

from dataclasses import replace

from engine.run_config import PAGED
from engine.types import Preset, RunConfig

INSTAVAR = "Instavar, LoRA or full SFT for voice models on a 24 GB GPU (2026)"
ALL_STEPS = 100  # epochs, where the steps end the run


def preset(config: RunConfig, name: str, purpose: str, reason: str, source: str) -> Preset:
    """A preset for the config's own backend."""
    return Preset(backend=config.backend, name=name, purpose=purpose, reason=reason, source=source, config=config)


def lora_preflight(config: RunConfig) -> Preset:
    """The default's first 200 steps with two checkpoints."""
    short = replace(config, name="preflight", epochs=ALL_STEPS, max_steps=200, save_every=100, save_unit="steps")
    return preset(
        short,
        "lora-preflight",
        "Ask whether a dataset moves the model in the right direction: 200 steps, two checkpoints.",
        "100 to 500 steps, at least two checkpoints, the same script from each, compared with the base. If the model "
        "does not move in the right direction under LoRA, the dataset or the recipe is probably wrong.",
        INSTAVAR,
    )


def full(config: RunConfig, *, learning_rate: float, reason: str, source: str = INSTAVAR) -> Preset:
    """All weights with the memory stack that fitted a 24 GB card: checkpointing, paged 8-bit AdamW, one clip a
    batch.
    """
    whole = replace(
        config,
        method="full",
        target_modules=(),
        learning_rate=learning_rate,
        batch_tokens=600,
        accumulation=8,
        gradient_checkpointing=True,
        optimizer=PAGED,
        stop_when=("validation_rising",),
    )
    purpose = "Train every weight on a 24 GB card, once LoRA has shown that the data is clean and not enough."
    return preset(whole, "full", purpose, reason, source)


def small(config: RunConfig, *, reason: str, source: str) -> Preset:
    """Short batches, layers computed twice and a small adapter, for a card with 8 to 16 GB."""
    small = replace(config, rank=8, alpha=16.0, batch_tokens=300, accumulation=16, gradient_checkpointing=True)
    return preset(small, "small-gpu", "A card with 8 to 16 GB: short batches, layers computed twice.", reason, source)
