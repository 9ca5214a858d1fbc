"""Presets of Finch, the built-in voice. The card's figures were measured; what is a judgement says so."""

from __future__ import annotations

from dataclasses import replace

from engine.presets.making import INSTAVAR
from engine.types import Preset, RunConfig

CARD = "Finch's model card, assets/finch/README.md"

_DEFAULT = RunConfig(backend="finch", rank=16, alpha=32.0, epochs=12)
# Batches of 500 tokens, three a step: as many tokens a step as the default's, in a third of the activations.
_SMALL = replace(_DEFAULT, batch_tokens=500, accumulation=3, gradient_checkpointing=True)

FINCH: tuple[Preset, ...] = (
    Preset(
        backend="finch",
        name="default",
        purpose="Tune a voice on about 5 minutes of speech.",
        reason=(
            "Rank 16, alpha 32 and the decoder's rate of 2e-3 (twice the run's) are those of the recipe behind the "
            "model card's figures for a tuned voice, `engine/backends/finch/pretrain/tune.py`. It takes the language "
            "model at 1.5e-3 over 8 epochs; 1e-3 over 12 is about the same way, with more checkpoints to choose from. "
            "In a prototype the validation loss was lowest at epochs 9 to 16, so these show the rise and the peak."
        ),
        source=CARD,
        config=_DEFAULT,
    ),
    Preset(
        backend="finch",
        name="quick",
        purpose="See the whole loop in half a minute: a few epochs, a voice that is halfway there.",
        reason=(
            "The rate is constant after the warm-up, so these are exactly the first four epochs of the default: what "
            "is learned here about scales and scripts carries over."
        ),
        source=CARD,
        config=replace(_DEFAULT, epochs=4),
    ),
    Preset(
        backend="finch",
        name="lora-preflight",
        purpose="Ask whether a dataset moves the model in the right direction: 100 steps, two checkpoints.",
        reason=(
            "100 to 500 steps with at least two checkpoints, the same script from each, compared with the base. Every "
            "fault that stops a run late (unreadable clip, memory of the optimizer, room for a checkpoint) stops this "
            "one early. These are the first 100 steps of the default, bit for bit."
        ),
        source=INSTAVAR,
        config=replace(_DEFAULT, name="preflight", epochs=100, max_steps=100, save_every=50, save_unit="steps"),
    ),
    Preset(
        backend="finch",
        name="gentle",
        purpose="Little data (1 to 3 minutes), or a default run whose early epochs already drop words.",
        reason=(
            "Half the rate and half the rank learn less of each clip; over twice the epochs the way is about as long, "
            "with more checkpoints near the point where a small set begins to be recited. Smaller rank and more "
            "dropout are what helped a language model that talked to itself; the numbers are a judgement, not measured."
        ),
        source="CosyVoice Flow LoRA fine-tune: debugging walkthrough (2025), chapter 5",
        config=replace(_DEFAULT, learning_rate=5e-4, rank=8, alpha=16.0, dropout=0.1, epochs=24),
    ),
    Preset(
        backend="finch",
        name="full",
        purpose="Train every weight, once LoRA has shown that the data is clean and not enough.",
        reason=(
            "A tenth of the adapter's rate, as VoxCPM's own recipes have it (1e-5 for all weights, 1e-4 for an "
            "adapter), fewer epochs and a stop when validation rises: full fine-tuning passes its best region early. A "
            "judgement for Finch, not measured."
        ),
        source=INSTAVAR,
        config=replace(
            _DEFAULT, method="full", learning_rate=1e-4, epochs=8, patience=3, stop_when=("validation_rising",)
        ),
    ),
    Preset(
        backend="finch",
        name="small-gpu",
        purpose="A card or machine with little memory: the default in a third of its activations.",
        reason=(
            "Activations are what runs out first, so batches shrink and layers are computed twice; three batches a "
            "step keep as many tokens a step as the default has. Adapter and optimizer are small as they are."
        ),
        source=INSTAVAR,
        config=_SMALL,
    ),
)
