"""What was set over what a model takes as usual."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from engine import speaking_settings
from engine.backends.backend_info import BackendInfo
from engine.types import BadInput, GenerationSettings, SpeakingSetting

GUIDANCE = SpeakingSetting(name="guidance", title="Guidance", about="How strictly.", usual=2.0, least=0, most=10)
STEPS = SpeakingSetting(name="steps", title="Steps", about="How many.", usual=8, least=1, most=50, step=1)


def info(**changes: object) -> BackendInfo:
    plain = BackendInfo(
        name="tiny",
        title="Tiny",
        sample_rate=24_000,
        voices=("default",),
        parts=("lm",),
        min_sec=0.5,
        max_sec=10.0,
        unpronounceable=lambda text: None,
        base_sha256="0" * 64,
        version="1",
        usual=GenerationSettings(temperature=0.9, top_k=50),
        own_settings=(GUIDANCE, STEPS),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_nothing_set_is_the_models_usual() -> None:
    """A model speaks as its makers meant it where nobody says otherwise, its own settings with it."""
    found = speaking_settings.in_force({}, info())
    assert found == GenerationSettings(temperature=0.9, top_k=50, own={"guidance": 2.0, "steps": 8})


def test_what_is_set_goes_before_and_the_rest_stays() -> None:
    """One number that somebody changes changes no other."""
    found = speaking_settings.in_force({"top_k": 7.0, "steps": 20.0}, info())
    assert found == GenerationSettings(temperature=0.9, top_k=7, own={"guidance": 2.0, "steps": 20})
    assert isinstance(found.top_k, int)


def test_a_complete_record_is_in_force_as_it_is() -> None:
    """What a clip or a promotion recorded comes back to the last number, also over another usual."""
    recorded = GenerationSettings(temperature=0.1, max_factor=1.6, own={"guidance": 3.0, "steps": 5})
    assert speaking_settings.in_force(recorded.flat, info()) == recorded


def test_another_models_setting_does_not_concern_it() -> None:
    """Two models share a sweep: what only one of them has is left out of the other's record."""
    other = info(name="other", own_settings=())
    assert speaking_settings.in_force({"guidance": 3.0}, other).own == {}
    speaking_settings.check_names({"guidance": 3.0}, [other, info()])
    with pytest.raises(BadInput, match="No model here has a setting 'guidence'"):
        speaking_settings.check_names({"guidence": 3.0}, [other, info()])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"temperature": -0.1}, "Temperature is -0.1; it can be 0 to 5"),
        ({"temperature": math.nan}, "Temperature is nan"),
        ({"top_p": 0.0}, "Top p is 0;"),
        ({"top_k": 2.5}, "whole number"),
        ({"guidance": 11.0}, "Guidance is 11; it can be 0 to 10"),
    ],
)
def test_a_number_out_of_bounds_is_named(given: dict[str, float], words: str) -> None:
    """The sentence names the field as the form does, and what it can be."""
    with pytest.raises(BadInput, match=words):
        speaking_settings.in_force(given, info())


def test_forms_offer_what_the_model_takes_as_usual() -> None:
    """An empty field shows what it stands for: this model's own number."""
    found = {setting.name: setting.usual for setting in speaking_settings.offered(info())}
    assert (found["temperature"], found["top_k"], found["guidance"], found["steps"]) == (0.9, 50, 2.0, 8)


def test_records_with_other_settings_are_not_equal() -> None:
    """A model's own settings count when manners of speaking are told apart."""
    assert GenerationSettings(own={"guidance": 1.0}) != GenerationSettings(own={"guidance": 2.0})
    assert len({GenerationSettings(own={"guidance": 1.0}), GenerationSettings(own={"guidance": 2.0})}) == 2
