"""A `RunConfig` as JSON and against its own bounds.

Knows the labels and limits in the fields' metadata, and nothing of runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from engine.types import BadInput, RunConfig


def check(config: RunConfig) -> None:
    """Raises BadInput naming the first field that is out of its bounds, with the bounds."""
    for f in fields(config):
        value = getattr(config, f.name)
        label, low, high = f.metadata["label"], f.metadata.get("minimum"), f.metadata.get("maximum")
        if low is None or high is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput(f"{label} should be a number between {low:g} and {high:g}, it is {value!r}.")
        if isinstance(f.default, int) and not isinstance(value, int):
            raise BadInput(f"{label} should be a whole number between {low:g} and {high:g}, it is {value!r}.")
        if not low <= value <= high:
            raise BadInput(f"{label} should be between {low:g} and {high:g}, it is {value:g}.")
    if not config.parts or len(set(config.parts)) != len(config.parts):
        raise BadInput("Parts should name at least one part of the model, each once.")
    if not config.dataset:
        raise BadInput("Dataset is empty; prepare one on the Data page and choose it.")


def to_json(config: RunConfig) -> dict[str, Any]:
    """Plain values, in the order of the fields."""
    return asdict(config) | {"parts": list(config.parts)}


def from_json(told: Mapping[str, Any]) -> RunConfig:
    """Read back what `to_json` wrote.

    Raises BadInput for a field that does not exist; a missing one has its default.
    """
    unknown = sorted(set(told) - {f.name for f in fields(RunConfig)})
    if unknown:
        raise BadInput(f"There is no run setting named {', '.join(unknown)}; remove it.")
    return RunConfig(**{**told, "parts": tuple(told.get("parts", RunConfig().parts))})
