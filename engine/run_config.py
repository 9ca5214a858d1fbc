"""A `RunConfig` as JSON and against its own bounds.

Knows the labels, limits and choices in the fields' metadata, and which settings exclude one another. Knows nothing of
runs, and looks at the machine only for an optimizer that not every machine has.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import Field, asdict, fields
from typing import Any

from engine.types import BadInput, RunConfig

PAGED = "paged_adamw_8bit"
FULL = "full"
PAGED_LIBRARY = "bitsandbytes"
PAGED_MEND = "pip install 'bitsandbytes>=0.48,<1'"


def check(config: RunConfig) -> None:
    """Raises BadInput naming the first field that is out of its bounds, with the bounds, or what does not go
    together, with the setting to change.
    """
    for f in fields(config):
        _check_field(f, getattr(config, f.name))
    if not config.parts or len(set(config.parts)) != len(config.parts):
        raise BadInput("Parts should name at least one part of the model, each once.")
    if not config.dataset:
        raise BadInput("Dataset is empty; prepare one on the Data page and choose it.")
    _check_together(config)


def to_json(config: RunConfig) -> dict[str, Any]:
    """Plain values, in the order of the fields."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def from_json(told: Mapping[str, Any]) -> RunConfig:
    """Read back what `to_json` wrote.

    Raises BadInput for a field that does not exist; a missing one, as in the record of an older run, has its default.
    """
    known = {f.name: f for f in fields(RunConfig)}
    unknown = sorted(set(told) - known.keys())
    if unknown:
        raise BadInput(f"There is no run setting named {', '.join(unknown)}; remove it.")
    values: dict[str, Any] = {n: tuple(v) if isinstance(known[n].default, tuple) else v for n, v in told.items()}
    return RunConfig(**values)


# --------------------------------------------------------------------------------------------------------------- checks
def _check_field(f: Field[Any], value: Any) -> None:
    label, default = f.metadata["label"], f.default
    if "minimum" in f.metadata:
        _check_number(f, value)
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise BadInput(f"{label} should be on or off (true or false), it is {value!r}.")
    elif isinstance(default, tuple):
        if not isinstance(value, tuple) or not all(isinstance(one, str) and one for one in value):
            raise BadInput(f"{label} should be a list of names, it is {value!r}.")
    elif not isinstance(value, str):
        raise BadInput(f"{label} should be a text, it is {value!r}.")
    choices = f.metadata.get("choices")
    for one in value if isinstance(value, tuple) else (value,):
        if choices and one not in choices:
            raise BadInput(f"{label} should be of {', '.join(choices)}, it is {one!r}.")


def _check_number(f: Field[Any], value: Any) -> None:
    label, low, high = f.metadata["label"], f.metadata["minimum"], f.metadata["maximum"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadInput(f"{label} should be a number between {low:g} and {high:g}, it is {value!r}.")
    if isinstance(f.default, int) and not isinstance(value, int):
        raise BadInput(f"{label} should be a whole number between {low:g} and {high:g}, it is {value!r}.")
    if not low <= value <= high:
        raise BadInput(f"{label} should be between {low:g} and {high:g}, it is {value:g}.")


def _check_together(config: RunConfig) -> None:
    if config.method == FULL and config.target_modules:
        raise BadInput("Target modules are LoRA's; empty them, or set Method to lora.")
    if config.optimizer == PAGED:
        _check_paged(config.device)
    if config.processes > 1:
        if config.accumulation % config.processes:
            raise BadInput(
                f"{config.processes} processes share the batches of a step: set Batches a step to a multiple of "
                f"{config.processes} (it is {config.accumulation}), or Processes to 1."
            )
        if ":" in config.device:
            raise BadInput(
                f"Device names one card ({config.device}) and Processes is {config.processes}: set Device to auto, "
                "or Processes to 1."
            )


def _check_paged(device: str) -> None:
    """The 8-bit optimizer pages its state between a CUDA card and main memory, by a library that is optional."""
    what = "The 8-bit paged optimizer"
    if device == "cpu":
        raise BadInput(f"{what} needs a CUDA card and Device is cpu; set Optimizer to adamw.")
    if importlib.util.find_spec(PAGED_LIBRARY) is None:
        raise BadInput(f"{what} needs {PAGED_LIBRARY}, which is not installed: {PAGED_MEND}; or set it to adamw.")
    import torch

    if not torch.cuda.is_available():
        raise BadInput(f"{what} needs a CUDA card and this machine shows none; set Optimizer to adamw.")
