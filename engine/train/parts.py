"""One part of a model under training, whatever of it is trained: its numbers, its optimizer, its files.

Knows that a part's weights are copied to memory at once and written later, by another thread, from the copy. `lora` and
`full` say which numbers these are and in which format they are kept.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types import BadInput, RunConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from engine.backends import SpeechModel


@dataclass(frozen=True, kw_only=True)
class TrainedPart(ABC):
    """`parameters` are those that are trained, by their names in `module`; `peak_rate` is this part's."""

    name: str
    module: nn.Module
    parameters: Mapping[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    peak_rate: float

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Copies of the trained numbers in main memory, under the names that they have on disk."""

    @abstractmethod
    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write what `weights()` gave into `folder/<part>`. Touches nothing that is being trained."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Replace the trained numbers by those of `folder/<part>`. Raises BadInput when they do not fit exactly."""


def attach(model: SpeechModel, config: RunConfig) -> list[TrainedPart]:
    """Make the parts that the config names trainable by its method, in the model's order; draws follow the seed."""
    from engine.train import full, lora

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


def in_memory(tensor: Tensor) -> Tensor:
    """A copy in main memory, laid out as a file wants it."""
    return tensor.detach().to("cpu", copy=True).contiguous()
