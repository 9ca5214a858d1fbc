"""One part of a model under training, whatever of it is trained: its numbers, its optimizer, its files.

Knows that a part's weights are copied to memory at once and written later, by another thread, from the copy. `lora` and
`full` say which numbers these are and in which format they are kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class TrainedPart(ABC):
    """`parameters` are those that are trained, by their names in `module`; `peak_rate` is this part's."""

    name: str
    module: nn.Module
    parameters: Mapping[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    peak_rate: float

    def gather_state(self) -> None:
        """Bring the optimizer's moments to where their numbers are now: a part may have been moved."""
        for parameter, moments in self.optimizer.state.items():
            for name, value in moments.items():
                if getattr(value, "shape", None) == parameter.shape and value.device != parameter.device:
                    moments[name] = value.to(parameter.device)

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Copies of the trained numbers in main memory, under the names that they have on disk."""

    @abstractmethod
    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        """Write what `weights()` gave into `folder/<part>`. Touches nothing that is being trained."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Replace the trained numbers by those of `folder/<part>`. Raises BadInput when they do not fit exactly."""


def in_memory(tensor: Tensor) -> Tensor:
    """A copy in main memory, laid out as a file wants it."""
    return tensor.detach().to("cpu", copy=True).contiguous()
