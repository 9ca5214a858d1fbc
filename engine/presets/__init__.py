"""Presets: settings of a run for a purpose, as data, each with the reason for its numbers and whose they are.

One file a family of models. Those of a model that this installation cannot train are kept and not offered.
"""

from __future__ import annotations

from dataclasses import replace

from engine import backends
from engine.presets.cosyvoice import COSYVOICE
from engine.presets.finch import FINCH
from engine.presets.upstream import UPSTREAM
from engine.types import NotFound, Preset, RunConfig

DEFAULT = "default"

PRESETS: tuple[Preset, ...] = (*FINCH, *UPSTREAM, *COSYVOICE)


def of(backend: str) -> tuple[Preset, ...]:
    """The presets of a backend, the default first. Raises NotFound for a backend that is not there or has none."""
    found = tuple(preset for preset in PRESETS if preset.backend == backend and backend in backends.INFO)
    if not found:
        known = ", ".join(sorted({preset.backend for preset in PRESETS} & backends.INFO.keys()))
        raise NotFound(f"There are no presets for {backend!r}; there are some for: {known}.")
    return found


def names(backend: str) -> tuple[str, ...]:
    """The names of a backend's presets; none for a backend without any."""
    return tuple(preset.name for preset in PRESETS if preset.backend == backend and backend in backends.INFO)


def get(backend: str, name: str) -> Preset:
    """One preset. Raises NotFound with the known names."""
    found = {preset.name: preset for preset in of(backend)}
    if name not in found:
        raise NotFound(f"{backend} has no preset {name!r}; it has: {', '.join(found)}.")
    return found[name]


def default(backend: str) -> RunConfig:
    """The settings that a form starts from."""
    return get(backend, DEFAULT).config


def without_person(config: RunConfig) -> RunConfig:
    """The settings without who accepted something: that holds for the run that it was said of."""
    return replace(config, accepted_by="", weights_accepted_by="")
