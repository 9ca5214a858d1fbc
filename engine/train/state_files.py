"""What a resumed training needs besides the adapters: optimizer state and the place in the data, without pickles.

Safetensors and JSON, no pickle: a checkpoint from elsewhere can hold wrong numbers, but no code. Generator states are
not among it, since `seeds` sets them anew before every step.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.types import BadInput

if TYPE_CHECKING:
    from engine.train.lora import TrainedPart

FORMAT_VERSION = 1
FOLDER = "trainer"
OPTIMIZER = "optimizer.safetensors"
PLACE = "state.json"
SEPARATOR = "|"  # part|parameter|moment; parameter names hold dots


@dataclass
class TrainState:
    """Where a training is.

    `step` steps are done; the next batch is number `batch` (0-based) of epoch `epoch` (1-based).
    """

    step: int = 0
    epoch: int = 1
    batch: int = 0
    epoch_loss_sum: float = 0.0  # over this epoch's batches so far

    @property
    def epoch_loss(self) -> float | None:
        """Mean loss of this epoch's batches so far."""
        return self.epoch_loss_sum / self.batch if self.batch else None

    def next_epoch(self) -> TrainState:
        """The state at the beginning of the next epoch."""
        return TrainState(step=self.step, epoch=self.epoch + 1)


def write(folder: Path, parts: Sequence[TrainedPart], state: TrainState) -> None:
    """Write `folder/trainer`."""
    from safetensors.torch import save_file

    target = folder / FOLDER
    target.mkdir()
    moments = {
        SEPARATOR.join((part.name, name, moment)): value.detach().cpu().contiguous()
        for part in parts
        for name, parameter in part.parameters.items()
        for moment, value in part.optimizer.state.get(parameter, {}).items()
    }
    save_file(moments, target / OPTIMIZER)
    told = {"format_version": FORMAT_VERSION, **asdict(state)}
    (target / PLACE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def read(folder: Path, parts: Sequence[TrainedPart]) -> TrainState:
    """Put the optimizers' state back and return the place. Raises BadInput when the files are not of these parts."""
    from safetensors.torch import load_file

    source = folder / FOLDER
    try:
        told = json.loads((source / PLACE).read_text(encoding="utf-8"))
        if told.pop("format_version") != FORMAT_VERSION:
            raise BadInput(f"{source} was written by another version; resume with that one.")
        state = TrainState(**told)
        moments = load_file(source / OPTIMIZER)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{source} cannot be read ({error}); resume from another checkpoint.") from error
    parameters = {(part.name, name): (part, p) for part in parts for name, p in part.parameters.items()}
    for key, value in moments.items():
        part_name, name, moment = key.split(SEPARATOR)
        if (part_name, name) not in parameters:
            raise BadInput(f"{source} holds a state for {part_name}/{name}, which this run does not train.")
        part, parameter = parameters[part_name, name]
        # AdamW keeps its step counts on the CPU and its moments beside the parameter
        device = value.device if moment == "step" else parameter.device
        part.optimizer.state[parameter][moment] = value.to(device)
    return state
