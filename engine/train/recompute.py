"""Gradient checkpointing: layers that keep their input alone and are computed again for the gradients.

Knows torch's way of doing it, which draws the same dropout both times, so that losses stay what they were. Which layers
are worth it, the backend says.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.backends.offers import RecomputesLayers
from engine.backends.speech_model import SpeechModel
from engine.types import BadInput

if TYPE_CHECKING:
    from torch import nn


def recompute(model: SpeechModel, parts: Iterable[str]) -> None:
    """Let the layers of these parts be computed twice. Raises BadInput for a backend that names none."""
    if not isinstance(model, RecomputesLayers):
        raise BadInput(f"{model.name} names no layers to compute twice; turn Gradient checkpointing off.")
    for part in parts:
        for layer in model.checkpointed_layers(part):
            layer.forward = partial(_forward, layer, layer.forward)


def _forward(layer: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
    import torch
    from torch.utils.checkpoint import checkpoint

    if not (layer.training and torch.is_grad_enabled()):
        return forward(*args, **kwargs)
    return checkpoint(partial(_as_trained, layer, forward), *args, use_reentrant=False, **kwargs)


def _as_trained(layer: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
    """The layer in training mode. When its gradients are computed a backend may have left that mode already, and
    dropout would not be what it was.
    """
    was_training = layer.training
    layer.train()
    try:
        return forward(*args, **kwargs)
    finally:
        layer.train(was_training)
