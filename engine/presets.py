"""Presets: settings of a run for a purpose, as data, each with the reason for its numbers.

Knows backends by name only.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.types import NotFound, RunConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """`reason` says where the numbers come from, so that the next person knows what changing one puts at risk."""

    backend: str
    name: str
    purpose: str
    reason: str
    config: RunConfig


DEFAULT = "default"

PRESETS: tuple[Preset, ...] = (
    Preset(
        backend="finch",
        name=DEFAULT,
        purpose="Tune a voice on about 5 minutes of speech.",
        reason=(
            "Rank 16, alpha 32 and the decoder's rate of 2e-3 (twice the run's) are those of the recipe behind the "
            "model card's figures for a tuned voice, `engine/backends/finch/pretrain/tune.py`. It takes the language "
            "model at 1.5e-3 over 8 epochs; 1e-3 over 12 is about the same way, with more checkpoints to choose from. "
            "In a prototype the validation loss was lowest at epochs 9 to 16, so these show the rise and the peak."
        ),
        config=RunConfig(backend="finch", rank=16, alpha=32.0, epochs=12),
    ),
    Preset(
        backend="finch",
        name="quick",
        purpose="See the whole loop in half a minute: a few epochs, a voice that is halfway there.",
        reason=(
            "The rate is constant after the warm-up, so these are exactly the first four epochs of the default: what "
            "is learned here about scales and scripts carries over."
        ),
        config=RunConfig(backend="finch", rank=16, alpha=32.0, epochs=4),
    ),
    Preset(
        backend="finch",
        name="preflight",
        purpose="Check data, disk and machine before a long run: one epoch, one checkpoint.",
        reason=(
            "Every fault that stops a run late (unreadable clip, memory of the optimizer, room for a checkpoint, no "
            "validation rows) stops this one within its first epoch."
        ),
        config=RunConfig(backend="finch", rank=16, alpha=32.0, epochs=1, name="preflight"),
    ),
    Preset(
        backend="finch",
        name="gentle",
        purpose="Little data (1 to 3 minutes), or a default run whose early epochs already drop words.",
        reason=(
            "Half the rate and half the rank learn less of each clip; over twice the epochs the way is about as long, "
            "with more checkpoints near the point where a small set begins to be recited. A judgement, not measured."
        ),
        config=RunConfig(backend="finch", learning_rate=5e-4, rank=8, alpha=16.0, dropout=0.1, epochs=24),
    ),
)


def of(backend: str) -> tuple[Preset, ...]:
    """The presets of a backend, the default first. Raises NotFound for a backend without any."""
    found = tuple(preset for preset in PRESETS if preset.backend == backend)
    if not found:
        known = ", ".join(sorted({preset.backend for preset in PRESETS}))
        raise NotFound(f"There are no presets for {backend!r}; there are some for: {known}.")
    return found


def get(backend: str, name: str) -> Preset:
    """One preset. Raises NotFound with the known names."""
    found = {preset.name: preset for preset in of(backend)}
    if name not in found:
        raise NotFound(f"{backend} has no preset {name!r}; it has: {', '.join(found)}.")
    return found[name]


def default(backend: str) -> RunConfig:
    """The settings that a form starts from."""
    return get(backend, DEFAULT).config
