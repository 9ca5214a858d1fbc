"""How a voice is told to speak: what was set, over what its model takes as usual.

Pure. What people set is a mapping of names to numbers, and says nothing of the rest: of two models in one sweep each
keeps its own usual temperature. What a clip records is the outcome, complete.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.types import BadInput, GenerationSettings, SpeakingSetting

if TYPE_CHECKING:
    from engine.backends.backend_info import BackendInfo

_USUAL = GenerationSettings()


def _common(name: str, title: str, about: str, *, least: float, most: float, step: float = 0.05) -> SpeakingSetting:
    """A setting that every model has, with what is usual where a model says nothing else."""
    usual: float = getattr(_USUAL, name)
    return SpeakingSetting(name=name, title=title, about=about, usual=usual, least=least, most=most, step=step)


SETTINGS = (
    _common("temperature", "Temperature", "How freely tokens are drawn; 0 takes the likeliest.", least=0, most=5),
    _common("top_k", "Top k", "From how many of the likeliest; 0: from all.", least=0, most=10_000, step=1),
    _common("top_p", "Top p", "From the likeliest that make up this share.", least=0.01, most=1, step=0.01),
    _common(
        "repetition_penalty",
        "Repetition penalty",
        "How much less likely a token is that was there before; 1: as likely.",
        least=0.1,
        most=20,
        step=0.01,
    ),
    _common(
        "max_factor",
        "Cap, times the expected length",
        "A chunk that is not over by then is cut.",
        least=0.1,
        most=20,
        step=0.1,
    ),
    _common(
        "retries",
        "Retries of what hits the cap",
        "Draws it again and hides a failure: a gate leaves such clips out.",
        least=0,
        most=10,
        step=1,
    ),
)


def usual(info: BackendInfo) -> GenerationSettings:
    """How a model speaks where nothing is set, its own settings with it."""
    return replace(info.usual, own={**{own.name: own.usual for own in info.own_settings}, **info.usual.own})


def offered(info: BackendInfo) -> tuple[SpeakingSetting, ...]:
    """What can be set for a model, with what it takes as usual."""
    own = usual(info).flat
    return tuple(replace(setting, usual=own[setting.name]) for setting in (*SETTINGS, *info.own_settings))


def in_force(given: Mapping[str, float], info: BackendInfo) -> GenerationSettings:
    """What is in force for a model when some settings are given; those that it does not have do not concern it.

    Raises BadInput for a number that is out of bounds.
    """
    start = usual(info)
    own = {setting.name: _checked(setting, given) for setting in info.own_settings if setting.name in given}
    common = {setting.name: _checked(setting, given) for setting in SETTINGS if setting.name in given}
    return replace(start, **common, own={**start.own, **own})  # type: ignore[arg-type]


def check_names(given: Mapping[str, float], infos: Iterable[BackendInfo]) -> None:
    """Raise BadInput for a setting that none of the models has."""
    known = [setting.name for setting in SETTINGS]
    known += dict.fromkeys(own.name for info in infos for own in info.own_settings)
    for name in given:
        if name not in known:
            raise BadInput(f"No model here has a setting {name!r}; there are: {', '.join(known)}.")


def _checked(setting: SpeakingSetting, given: Mapping[str, float]) -> float:
    value = given[setting.name]
    if not setting.least <= value <= setting.most:  # NaN is not either
        raise BadInput(f"{setting.title} is {value:g}; it can be {setting.least:g} to {setting.most:g}.")
    if setting.step == 1:
        if value != int(value):
            raise BadInput(f"{setting.title} is {value:g}; it is a whole number.")
        return int(value)
    return float(value)
