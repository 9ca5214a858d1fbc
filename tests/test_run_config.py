"""Run settings: bounds live in the type, and what is written is read back."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import run_config
from engine.types import MONITORS, BadInput, RunConfig

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
    shared = {"accumulation": bound} if name == "processes" else {}  # processes share a step's batches
    run_config.check(replace(GOOD, **(shared | {name: bound})))
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
        ({"dataset": 3}, "Dataset should be a text"),
        ({"method": "qlora"}, "Method should be of lora, full, it is 'qlora'"),
        ({"save_unit": "hours"}, "Counted in should be of epochs, steps"),
        ({"stop_when": ("boredom",)}, "Stop when should be of validation_rising"),
        ({"stop_when": "drift"}, "Stop when should be a list of names"),
        ({"target_modules": ("",)}, "Target modules should be a list of names"),
        ({"gradient_checkpointing": 1}, "should be on or off"),
    ],
)
def test_values_of_another_kind(changes: dict[str, object], sentence: str) -> None:
    """Not a number, no parts and no dataset are each a sentence."""
    with pytest.raises(BadInput, match=sentence):
        run_config.check(replace(GOOD, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "mend"),
    [
        ({"method": "full", "target_modules": ("q_proj",)}, "empty them"),
        ({"optimizer": "paged_adamw_8bit", "device": "cpu"}, "set Optimizer to adamw"),
        ({"processes": 2}, "set Batches a step to a multiple of 2"),
        ({"processes": 2, "accumulation": 2, "device": "cuda:0"}, "set Device to auto"),
    ],
)
def test_settings_that_exclude_one_another(changes: dict[str, object], mend: str) -> None:
    """What cannot go together is refused before the start, with the setting to change."""
    with pytest.raises(BadInput, match=mend):
        run_config.check(replace(GOOD, **changes))  # type: ignore[arg-type]


def test_the_paged_optimizer_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its library the sentence has the command that installs it; without a card, the setting to change."""
    import torch

    asked = replace(GOOD, optimizer="paged_adamw_8bit")
    monkeypatch.setattr(run_config.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install 'bitsandbytes"):
        run_config.check(asked)
    monkeypatch.setattr(run_config.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BadInput, match="needs a CUDA card"):
        run_config.check(asked)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    run_config.check(asked)


def test_the_record_of_an_older_run_is_read() -> None:
    """A record from before a setting existed has its default, so an old run can still be looked at and resumed."""
    old = {"name": "ada", "dataset": "d", "backend": "finch", "parts": ["lm"], "rank": 16, "epochs": 4, "seed": 1}
    read = run_config.from_json(old)
    assert (read.rank, read.parts, read.method, read.accumulation, read.stop_when) == (16, ("lm",), "lora", 1, ())
    run_config.check(read)


@given(
    config=st.builds(
        RunConfig,
        name=st.text(max_size=5),
        parts=st.lists(st.sampled_from(["lm", "decoder"]), unique=True).map(tuple),
        target_modules=st.lists(st.sampled_from(["q_proj", "o_proj"]), unique=True).map(tuple),
        stop_when=st.lists(st.sampled_from(MONITORS), unique=True).map(tuple),
        gradient_checkpointing=st.booleans(),
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
