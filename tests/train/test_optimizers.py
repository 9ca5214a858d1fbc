"""Optimizers: AdamW everywhere, the paged 8-bit one where its library and a card are."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from engine.train import optimizers, state_files
from engine.train.full import WholePart
from engine.types import BadInput, RunConfig

PAGED = RunConfig(optimizer="paged_adamw_8bit", learning_rate=0.01, weight_decay=0.1)


def test_adamw_has_the_configs_numbers() -> None:
    """Rate of the part and decay of the config."""
    made = optimizers.make([nn.Parameter(torch.zeros(2))], RunConfig(weight_decay=0.1), 0.02)
    assert isinstance(made, torch.optim.AdamW)
    assert (made.defaults["lr"], made.defaults["weight_decay"]) == (0.02, 0.1)


def test_the_paged_one_needs_a_card_and_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a card or the library a sentence says what to change; with both it is the library's class."""
    with pytest.raises(BadInput, match="needs a CUDA card"):
        optimizers.make([nn.Parameter(torch.zeros(2))], PAGED, 0.02)
    on_card: Any = SimpleNamespace(device=torch.device("cuda:0"))
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(BadInput, match="pip install 'bitsandbytes"):
        optimizers.make([on_card], PAGED, 0.02)
    made: list[Any] = []
    fake = ModuleType("bitsandbytes")
    fake.optim = SimpleNamespace(PagedAdamW8bit=lambda p, **k: made.append((p, k)))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bitsandbytes", fake)
    optimizers.make([on_card], PAGED, 0.02)
    assert made == [([on_card], {"lr": 0.02, "weight_decay": 0.1})]


class EightBit(torch.optim.Optimizer):
    """Keeps its state as bitsandbytes does: bytes, a table, and a plain number of steps."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                state["step"] = state.get("step", 0) + 1
                state["state1"] = torch.full(p.shape, state["step"], dtype=torch.uint8)


def test_a_state_with_plain_numbers_and_bytes_is_kept_as_it_is(tmp_path: Any) -> None:
    """What the paged optimizer keeps comes back in its own types: bytes stay bytes, a count stays a number."""

    def part() -> WholePart:
        module = nn.Linear(2, 2)
        parameters = dict(module.named_parameters())
        optimizer = EightBit(parameters.values())
        return WholePart(name="lm", module=module, parameters=parameters, optimizer=optimizer, peak_rate=1.0)

    one, other = part(), part()
    one.optimizer.step()
    one.optimizer.step()
    state = state_files.TrainState(step=2)
    state_files.publish(tmp_path, 2, state, state_files.moments([one]), "a" * 64)
    assert state_files.read(state_files.path_of(tmp_path, 2), [other]) == state
    kept = other.optimizer.state[other.parameters["weight"]]
    assert kept["step"] == 2
    assert isinstance(kept["step"], int)
    assert kept["state1"].dtype == torch.uint8
