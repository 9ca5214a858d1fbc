"""The parts of a model that a run trains, made trainable by its method.

Knows which method is which module; what a part is, is in `trained_part`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.train import full, lora
from engine.train.trained_part import TrainedPart
from engine.types import BadInput, RunConfig

if TYPE_CHECKING:
    from engine.backends.speech_model import SpeechModel


def attach(model: SpeechModel, config: RunConfig) -> list[TrainedPart]:
    """Make the parts that the config names trainable by its method, in the model's order; draws follow the seed."""
    offered = {part.name: part for part in model.lora_parts()}
    strange = [name for name in config.parts if name not in offered]
    if strange:
        raise BadInput(f"{model.name} has no part {strange[0]!r}; it has: {', '.join(offered)}.")
    if config.method == "full" and not model.capabilities.full_sft:
        raise BadInput(f"{model.name} cannot be trained in full; set Method to lora.")
    attach_one = full.attach if config.method == "full" else lora.attach
    for name in offered:
        model.part(name).requires_grad_(False)
    return [attach_one(model, part, config) for name, part in offered.items() if name in config.parts]


def parameter_count(parts: Sequence[TrainedPart]) -> int:
    """Trained numbers in all parts."""
    return sum(math.prod(p.shape) for part in parts for p in part.parameters.values())
