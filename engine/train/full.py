"""Full fine-tuning: every weight of the chosen parts is trained, and what came out otherwise than the base is kept.

Knows torch and which parameters the optimizer has touched: a module that gets no gradient (an encoder whose answers
were computed beforehand) is the base's to the bit and costs no room on the disk. The files are `full_weights`'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.train import optimizers
from engine.train.trained_part import TrainedPart, in_memory
from engine.types import RunConfig

if TYPE_CHECKING:
    from torch import Tensor

    from engine.backends.speech_model import LoraPart, SpeechModel


@dataclass(frozen=True, kw_only=True)
class WholePart(TrainedPart):
    """A part of which everything may be trained. Both optimizers begin a parameter's state when they first move it."""

    def weights(self) -> dict[str, Tensor]:
        moved = self.optimizer.state
        return {name: in_memory(parameter) for name, parameter in self.parameters.items() if moved.get(parameter)}

    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        from engine import full_weights

        target = folder / self.name
        target.mkdir()
        full_weights.write_part(target, weights, self.parameters.keys() - weights.keys())

    def load(self, folder: Path) -> None:
        import torch

        from engine import full_weights

        stored = full_weights.read_part(folder / self.name, self.module)
        with torch.no_grad():
            for name, tensor in stored.items():
                self.parameters[name].copy_(tensor)


def attach(model: SpeechModel, part: LoraPart, config: RunConfig) -> WholePart:
    """Let all weights of a part be trained. Tied weights count once."""
    module = model.part(part.name).requires_grad_(True)
    parameters = dict(module.named_parameters())
    peak_rate = config.learning_rate * part.learning_rate_factor
    return WholePart(
        name=part.name,
        module=module,
        parameters=parameters,
        optimizer=optimizers.make(parameters.values(), config, peak_rate),
        peak_rate=peak_rate,
    )
