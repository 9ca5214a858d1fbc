"""Run settings: bounds live in the type, and what is written is read back."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import run_config
from engine.types import BadInput, RunConfig

GOOD = RunConfig(dataset="d", parts=("lm",))
BOUNDED = [f.name for f in fields(RunConfig) if "minimum" in f.metadata]


def test_the_defaults_are_within_their_bounds() -> None:
    """A form that is not touched can be started."""
    run_config.check(GOOD)


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("side", ["minimum", "maximum"])
def test_every_bound_is_kept(name: str, side: str) -> None:
    """The bound itself is allowed; the next value beyond is refused by the field's label with both bounds."""
    f = next(f for f in fields(RunConfig) if f.name == name)
    bound = f.metadata[side]
    run_config.check(replace(GOOD, **{name: bound}))
    beyond = bound + (-1 if side == "minimum" else 1)
    sentence = f"{f.metadata['label']} should be between {f.metadata['minimum']:g} and {f.metadata['maximum']:g}"
    with pytest.raises(BadInput, match=re.escape(sentence)):
        run_config.check(replace(GOOD, **{name: beyond}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learning_rate": float("nan")}, "Learning rate should be a number"),
        ({"rank": "eight"}, "Rank should be a number"),
        ({"rank": 8.5}, "Rank should be a whole number"),
        ({"epochs": True}, "Epochs should be a number"),
        ({"parts": ()}, "at least one part"),
        ({"parts": ("lm", "lm")}, "each once"),
        ({"dataset": ""}, "Dataset is empty"),
    ],
)
def test_values_of_another_kind(changes: dict[str, object], sentence: str) -> None:
    """Not a number, no parts and no dataset are each a sentence."""
    with pytest.raises(BadInput, match=sentence):
        run_config.check(replace(GOOD, **changes))  # type: ignore[arg-type]


@given(
    config=st.builds(
        RunConfig,
        name=st.text(max_size=5),
        parts=st.lists(st.sampled_from(["lm", "decoder"]), unique=True).map(tuple),
        learning_rate=st.floats(1e-7, 0.1),
        seed=st.integers(0, 2**31 - 1),
    )
)
def test_json_round_trip(config: RunConfig) -> None:
    """What a run's record holds is the config that was given."""
    assert run_config.from_json(json.loads(json.dumps(run_config.to_json(config)))) == config


def test_an_unknown_setting_is_named() -> None:
    """A misspelt or newer setting is refused, not ignored."""
    with pytest.raises(BadInput, match="no run setting named lerning_rate"):
        run_config.from_json({"lerning_rate": 1})
