"""Full fine-tuning: every weight of the chosen parts is trained and kept.

Knows torch and one file a part, `full.safetensors`, with every parameter under its name in the module. The base is not
kept beside it: what a checkpoint changed is found again by comparing with the base's own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.adapter_files import FULL_FILE
from engine.train import optimizers
from engine.train.trained_part import TrainedPart, in_memory
from engine.types import BadInput, RunConfig

if TYPE_CHECKING:
    from torch import Tensor

    from engine.backends import LoraPart, SpeechModel


@dataclass(frozen=True, kw_only=True)
class WholePart(TrainedPart):
    """A part of which everything is trained."""

    def weights(self) -> dict[str, Tensor]:
        return {name: in_memory(parameter) for name, parameter in self.parameters.items()}

    def write(self, folder: Path, weights: Mapping[str, Tensor]) -> None:
        from safetensors.torch import save_file

        target = folder / self.name
        target.mkdir()
        save_file(dict(weights), target / FULL_FILE, metadata={"format": "pt"})

    def load(self, folder: Path) -> None:
        import torch

        from engine import full_weights

        stored = full_weights.read_part(folder / self.name, self.module)
        if stored.keys() != self.parameters.keys():
            raise BadInput(f"The weights in {folder / self.name} are not those of this part; resume with its own base.")
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(stored[name])


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
