"""Full fine-tuning keeps what it changed, and goes on from that over the base."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import nn

from engine.adapter_files import FULL_FILE
from engine.backends.speech_model import LoraPart, SpeechModel
from engine.train import full
from engine.train.full import WholePart
from engine.types import RunConfig


class Hearer:
    """One part of two modules, of which the loss reaches one. As much of a `SpeechModel` as attaching looks at."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.net = nn.ModuleDict({"hears": nn.Linear(4, 4), "talks": nn.Linear(4, 2)})

    def part(self, name: str) -> nn.Module:
        return {"lm": self.net}[name]


def make_part() -> tuple[Hearer, WholePart]:
    model = Hearer()
    part = LoraPart(name="lm", target_modules=())
    return model, full.attach(cast(SpeechModel, model), part, RunConfig(method="full"))


def step(model: Hearer, part: WholePart) -> None:
    part.optimizer.zero_grad(set_to_none=True)
    model.net["talks"](torch.ones(1, 4)).square().sum().backward()
    part.optimizer.step()


def test_what_gets_no_gradient_costs_no_room_and_stays_the_base(tmp_path: Path) -> None:
    """A module whose answers were computed beforehand is in no checkpoint; what was trained comes back to the bit."""
    model, part = make_part()
    step(model, part)
    part.write(tmp_path, part.weights())
    assert set(load_file(tmp_path / "lm" / FULL_FILE)) == {"talks.weight", "talks.bias"}
    again, other = make_part()
    other.load(tmp_path)
    trained = dict(model.net.named_parameters())
    assert all(torch.equal(p, trained[name]) for name, p in again.net.named_parameters())
    fresh: nn.Module = Hearer().net
    assert torch.equal(model.net["hears"].weight, fresh.get_parameter("hears.weight"))
    assert not torch.equal(model.net["talks"].weight, fresh.get_parameter("talks.weight"))


def test_going_on_from_a_delta_is_going_on(tmp_path: Path) -> None:
    """A training that wrote a delta and one that loaded it write the same delta after the same step."""
    model, part = make_part()
    step(model, part)
    part.write(tmp_path, part.weights())
    again, other = make_part()
    other.load(tmp_path)
    for (_, theirs), own in zip(part.parameters.items(), other.parameters.values(), strict=True):
        if state := part.optimizer.state.get(theirs):
            other.optimizer.state[own] = {name: value.clone() for name, value in state.items()}
    for each in ((model, part), (again, other)):
        step(*each)
    first, second = part.weights(), other.weights()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
