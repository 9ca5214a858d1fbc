"""What a resumed training needs besides the weights: optimizer state and the place in the data, without pickles.

It lies beside the checkpoint, in `state/step_000300/`, sealed like one, and names the weights that it belongs to. It is
published before its checkpoint and removed when two newer checkpoints have one: it is twice the size of the weights and
only the last is ever needed. Safetensors and JSON, no pickle: files from elsewhere can hold wrong numbers, but no code.
Generator states are not among it, since `seeds` sets them anew before every batch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import checkpoints, durable, sealed
from engine.runs.folder import RunFolder
from engine.types import BadInput, Checkpoint, NotFound

if TYPE_CHECKING:
    from torch import Tensor

    from engine.train.trained_part import TrainedPart

FORMAT_VERSION = 2
KEPT = 2  # the last one, and the one before it in case its disk lost the last
WHAT = "trainer's state"
OPTIMIZER = "optimizer.safetensors"
PLACE = "state.json"
SEPARATOR = "|"  # part|parameter|moment; parameter names hold dots
# Until 2026-11 the state lay inside the checkpoint, in format 1.
INSIDE = "trainer"


@dataclass
class TrainState:
    """Where a training is.

    `step` steps are done; the next batch is number `batch` (0-based) of epoch `epoch` (1-based).
    """

    step: int = 0
    epoch: int = 1
    batch: int = 0
    epoch_loss_sum: float = 0.0  # over this epoch's tokens so far
    epoch_tokens: int = 0

    @property
    def epoch_loss(self) -> float | None:
        """Mean loss a token of this epoch so far."""
        return self.epoch_loss_sum / self.epoch_tokens if self.epoch_tokens else None

    def next_epoch(self) -> TrainState:
        """The state at the beginning of the next epoch."""
        return TrainState(step=self.step, epoch=self.epoch + 1)


def moments(parts: Sequence[TrainedPart]) -> dict[str, Tensor]:
    """The optimizers' state, copied to main memory, by part, parameter and moment."""
    import torch

    from engine.train.trained_part import in_memory

    found = {}
    for part in parts:
        for name, parameter in part.parameters.items():
            for moment, value in part.optimizer.state.get(parameter, {}).items():
                tensor = value if isinstance(value, torch.Tensor) else torch.tensor(value)
                found[SEPARATOR.join((part.name, name, moment))] = in_memory(tensor)
    return found


def publish(run_dir: Path, step: int, state: TrainState, kept: Mapping[str, Tensor], adapter_sha256: str) -> None:
    """Write `state/step_<step>`, replacing what a life that never published the checkpoint left there.

    Raises DiskFull with nothing left behind.
    """
    from safetensors.torch import save_file

    def write(folder: Path) -> None:
        save_file(dict(kept), folder / OPTIMIZER)
        told = {"format_version": FORMAT_VERSION, "adapter_sha256": adapter_sha256, **asdict(state)}
        (folder / PLACE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    final = path_of(run_dir, step)
    if final.exists():
        _discard(final)
    sealed.publish(final, what=WHAT, write=write, meta={"run_id": run_dir.name, "step": step})


def path_of(run_dir: Path, step: int) -> Path:
    """Where the state of a step is, or would be."""
    return RunFolder(run_dir).states / checkpoints.folder_name(step)


def prune(run_dir: Path, keep: int = KEPT) -> None:
    """Remove all but the newest states. Call it once the newest one's checkpoint is published."""
    for path in sorted(RunFolder(run_dir).states.glob("step_*"))[:-keep]:
        _discard(path)


def sweep(run_dir: Path) -> None:
    """Remove what a killed writer left: half a state, or one whose checkpoint never appeared.

    Only the holder of the run's lock may.
    """
    root = RunFolder(run_dir).states
    sealed.remove_unfinished(root)
    for path in root.glob("step_*"):
        if not (RunFolder(run_dir).checkpoints / path.name).is_dir():
            _discard(path)


def of(checkpoint: Checkpoint) -> Path | None:
    """The folder with a checkpoint's state, every byte compared with its manifest; None when it has none.

    Raises BadInput for a state that is damaged or of other weights.
    """
    inside = checkpoint.path / INSIDE
    if inside.is_dir():  # sealed and verified with its checkpoint
        return inside
    path = path_of(checkpoint.path.parent.parent, checkpoint.step)
    try:
        sealed.check(path, what=WHAT, checksums=True)
    except NotFound:
        return None
    if _place(path).get("adapter_sha256") != checkpoint.adapter.sha256:
        raise sealed.damaged(path, f"it belongs to other weights than {checkpoint.id}", what=WHAT)
    return path


def read(folder: Path, parts: Sequence[TrainedPart]) -> TrainState:
    """Put the optimizers' state back and return the place. Raises BadInput when the files are not of these parts."""
    from safetensors.torch import load_file

    told = _place(folder)
    try:
        if told.pop("format_version") == 1:
            told.pop("epoch_loss_sum")  # counted in batches then; this epoch's mean begins anew
        told.pop("adapter_sha256", None)
        state = TrainState(**told)
        stored = load_file(folder / OPTIMIZER)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder} cannot be read ({error}); resume from another checkpoint.") from error
    parameters = {(part.name, name): (part, p) for part in parts for name, p in part.parameters.items()}
    for key, value in stored.items():
        part_name, name, moment = key.split(SEPARATOR)
        if (part_name, name) not in parameters:
            raise BadInput(f"{folder} holds a state for {part_name}/{name}, which this run does not train.")
        part, parameter = parameters[part_name, name]
        part.optimizer.state[parameter][moment] = _restored(value, moment, parameter, part)
    return state


def _restored(value: Tensor, moment: str, parameter: Tensor, part: TrainedPart) -> Tensor | int:
    """torch's AdamW counts its steps in a tensor on the CPU, bitsandbytes' in a number; moments lie beside the
    parameter.
    """
    import torch

    if moment != "step":
        # a copy: a view of the file would keep its room taken on the disk long after it was removed
        return value.to(parameter.device, copy=True)
    return value.clone() if isinstance(part.optimizer, torch.optim.AdamW) else int(value)


def _place(folder: Path) -> dict[str, Any]:
    try:
        told = json.loads((folder / PLACE).read_text(encoding="utf-8"))
        version = told["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{folder} cannot be read ({error}); resume from another checkpoint.") from error
    if version not in (1, FORMAT_VERSION):
        raise BadInput(f"{folder} was written by another version; resume with that one.")
    return dict(told)


def _discard(path: Path) -> None:
    """Make it invisible by one rename, then remove it."""
    gone = path.with_name(f"{sealed.UNFINISHED}gone-{path.name}")
    shutil.rmtree(gone, ignore_errors=True)
    durable.rename(path, gone)
    shutil.rmtree(gone, ignore_errors=True)
