"""Faults: what an exception means to the person who started the run."""

from __future__ import annotations

import pytest

from engine import run_config
from engine.train import faults
from engine.train.faults import Where
from engine.types import BadInput, RunConfig


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


CPU_ALLOCATOR = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes.")
CONFIG = RunConfig(dataset="d", batch_tokens=2000, rank=8, device="cuda:0")


@pytest.mark.parametrize("error", [OutOfMemoryError("CUDA"), MemoryError(), CPU_ALLOCATOR])
@pytest.mark.parametrize(
    ("where", "kind", "first_change", "said"),
    [
        (Where(), "loading", "parts", "while loading"),
        (Where(stage="forward", batch_tokens=1900), "activations", "batch_tokens", "1900 tokens"),
        (Where(stage="backward"), "activations", "batch_tokens", "first backward pass"),
        (Where(stage="validation"), "activations", "batch_tokens", "first validation"),
        (Where(stage="optimizer"), "optimizer", "optimizer", "optimizer's first step"),
        (Where(stage="forward", steps_done=1), "optimizer", "optimizer", "second step"),
        (
            Where(stage="forward", steps_done=40, batch_tokens=1900, seen_tokens=[900] * 9),
            "fragmentation",
            "batch_tokens",
            "1900 tokens with its padding, and the median batch 900",
        ),
        (
            Where(stage="backward", steps_done=40, batch_tokens=900, seen_tokens=[900] * 9),
            "fragmentation",
            "batch_tokens",
            "memory is in pieces",
        ),
    ],
)
def test_out_of_memory_is_read_by_when_it_happened(
    error: Exception, where: Where, kind: str, first_change: str, said: str
) -> None:
    """First pass: activations. The optimizer's first step, or the step after it: its state. Later: a long batch by its
    tokens, or fragmentation. Each with the settings to change, and not those of another class.
    """
    fault = faults.diagnose(error, where, CONFIG)
    assert fault.kind == kind
    assert said in fault.explanation
    assert fault.changes[0]["setting"] == first_change
    changed = {change["setting"] for change in fault.changes}
    assert ("optimizer" in changed) == (kind == "optimizer")
    assert ("gradient_checkpointing" in changed) == (kind in ("activations", "fragmentation"))


@pytest.mark.parametrize("stage", ["loading", "forward", "optimizer"])
def test_every_change_is_a_setting_that_can_be_set(stage: str) -> None:
    """What the card proposes is a setting with its present value, and a new one that is within its bounds."""
    told = run_config.to_json(CONFIG)
    for change in faults.diagnose(MemoryError(), Where(stage=stage), CONFIG).to_json()["changes"]:
        old = change["old"]
        assert (list(old) if isinstance(old, tuple) else old) == told[change["setting"]]
        changed = run_config.from_json(told | {change["setting"]: change["new"]})
        if change["setting"] != "optimizer":  # which needs a card
            run_config.check(changed)


def test_what_is_set_already_is_not_proposed() -> None:
    """A run that has the whole memory stack is not told to turn it on."""
    config = RunConfig(dataset="d", gradient_checkpointing=True, precision="bf16", batch_tokens=100)
    assert faults.diagnose(MemoryError(), Where(stage="forward"), config).changes == ()


@pytest.mark.parametrize("has_bf16", [True, False])
def test_bf16_is_proposed_where_the_device_has_it(has_bf16: bool) -> None:
    """A card without bf16 refuses a run in it: what the card of the fault proposes is what can be done."""
    asked: list[str] = []
    fault = faults.diagnose(
        MemoryError(), Where(stage="forward"), CONFIG, has_bf16=lambda name: asked.append(name) or has_bf16
    )
    assert ("precision" in {change["setting"] for change in fault.changes}) == has_bf16
    assert asked == ["cuda:0"]


def test_known_faults_speak_for_themselves() -> None:
    """A sentence that was written for people is passed on; anything else names its kind and where the trace is."""
    assert faults.diagnose(BadInput("Mend the row."), Where(), CONFIG).explanation == "Mend the row."
    said = faults.diagnose(KeyError("lm"), Where(stage="forward"), CONFIG)
    assert said.explanation.startswith("KeyError: 'lm'")
    assert "train.log" in said.explanation
    assert said.kind == ""
