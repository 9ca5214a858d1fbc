"""How a model's own folder says that it is to be drawn from: `generation_config.json`, as transformers has it.

Knows the names in that file. Only reads it: what a user sets goes before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.types import BadInput, GenerationSettings

FILE = "generation_config.json"


def read(folder: Path) -> Mapping[str, Any]:
    """What the file says; nothing where there is none. Raises BadInput for one that is damaged."""
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as JSON ({error}); download the model again.") from error
    if not isinstance(told, dict):
        raise BadInput(f"{path} does not hold a JSON object; download the model again.")
    return told


def usual(folder: Path, otherwise: GenerationSettings) -> GenerationSettings:
    """What the file says of the settings that all models have; what it does not say is as in `otherwise`. Without
    sampling the temperature is 0.
    """
    told = read(folder)
    return replace(
        otherwise,
        temperature=0.0 if told.get("do_sample") is False else number(told, "temperature", otherwise.temperature),
        top_k=int(number(told, "top_k", otherwise.top_k)),
        top_p=number(told, "top_p", otherwise.top_p),
        repetition_penalty=number(told, "repetition_penalty", otherwise.repetition_penalty),
    )


def number(told: Mapping[str, Any], name: str, otherwise: float) -> float:
    """One number of the file; `otherwise` where there is none, which is also how transformers writes a default."""
    value = told.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
