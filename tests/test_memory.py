"""Memory: exact where it is counted, held against torch where it is estimated, and changes that really fit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from engine import memory
from engine.backends import sizes
from engine.device import DeviceMemory
from engine.types import MEMORY_CLASSES, RunConfig

SIZE = sizes.of("finch")
assert SIZE is not None
LORA, FULL = RunConfig(dataset="d"), RunConfig(dataset="d", method="full")


def estimate(config: RunConfig, tokens: int = 1500, device: str = "cpu"):
    assert SIZE is not None
    return memory.estimate(config, SIZE, device=device, batch_tokens=tokens)


@pytest.mark.parametrize(
    "config",
    [
        LORA,
        FULL,
        replace(LORA, parts=("lm",), rank=3),
        replace(LORA, parts=("decoder",), rank=32),
        replace(FULL, parts=("decoder",)),
        replace(LORA, parts=("lm",), target_modules=("q_proj", "down_proj")),
    ],
    ids=["lora", "full", "lm", "decoder", "full-decoder", "targets"],
)
def test_what_is_counted_is_the_sum_of_a_real_models_tensors(config: RunConfig) -> None:
    """Weights, adapter, gradients and optimizer state equal, to the byte, what torch holds after a step of AdamW."""
    import torch

    from engine import backends
    from engine.train import parts

    model = backends.load("finch")
    whole = {p.data_ptr(): p for name in model.capabilities.parts for p in model.part(name).parameters()}
    trained = parts.attach(model, config)
    parameters = [p for part in trained for p in part.parameters.values()]
    for p in parameters:
        p.grad = torch.zeros_like(p)
    for part in trained:
        part.optimizer.step()
    state = [v for part in trained for told in part.optimizer.state.values() for v in told.values()]
    found = estimate(config)
    assert found.gradients == sum(p.grad.nbytes for p in parameters if p.grad is not None)
    assert found.optimizer == sum(value.nbytes for value in state)
    assert found.adapter == (0 if config.method == "full" else sum(p.nbytes for p in parameters))
    nets = model._nets
    beside = [net for net in (nets.encoder, nets.vocoder, model._ear)]
    frozen = sum(p.nbytes for net in beside for p in net.parameters())
    assert found.weights == sum(p.nbytes for p in whole.values()) + frozen


def _peak_bytes(config: RunConfig, rows: int, tokens: int) -> int:
    """Bytes that torch allocates at the worst moment of one step on rows of `tokens` tokens; gradients are there."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from engine import backends
    from engine.backends.finch.tuning import Example
    from engine.train import parts, recompute

    model = backends.load("finch")
    model._fast_products = lambda: torch.autocast("cpu", enabled=False)
    phonemes = tokens // 3
    speech = tokens - 3 - phonemes
    draw = random.Random(0)
    examples = [
        Example(
            tuple(draw.randrange(40) for _ in range(phonemes)),
            torch.randint(0, 1000, (speech,)),
            torch.randn(4 * speech, 30),
        )
        for _ in range(rows)
    ]
    parts.attach(model, config)
    for name in config.parts:
        model.part(name).train()
    if config.gradient_checkpointing:
        recompute.recompute(model, config.parts)

    def step(batch: list[Example]) -> None:
        losses = model.loss(batch, model.capabilities.voices[0], config.parts, 1)
        sum(losses.values()).backward()

    step(examples[:1])
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        step(examples)
    return max(_running(seen))


def _running(seen: object) -> Iterator[int]:
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        yield held


@pytest.mark.parametrize(
    "config",
    [
        replace(LORA, parts=("lm",)),
        replace(LORA, parts=("lm",), dropout=0.0),
        replace(FULL, parts=("lm",)),
        replace(LORA, parts=("decoder",)),
        replace(FULL, parts=("decoder",)),
        LORA,
        replace(LORA, gradient_checkpointing=True),
        replace(FULL, parts=("lm",), gradient_checkpointing=True),
        replace(FULL, parts=("decoder",), gradient_checkpointing=True),
    ],
    ids=[
        "lm",
        "no dropout",
        "full lm",
        "decoder",
        "full decoder",
        "both",
        "twice",
        "full lm twice",
        "full decoder twice",
    ],
)
def test_activations_are_estimated_near_the_peak_of_a_real_step(config: RunConfig) -> None:
    """On 8 rows of 8 s the estimate is at least the peak that torch saw, and not half as much again."""
    peak = _peak_bytes(config, rows=8, tokens=200)
    assert 0.97 * peak <= estimate(config, tokens=1600).activations <= 1.5 * peak


def test_each_setting_moves_its_own_class() -> None:
    """What a setting is said to save is the class that gets smaller, and no other grows."""
    moves = {
        "gradient_checkpointing": (True, "activations"),
        "precision": ("bf16", "activations"),
        "batch_tokens": (500, "activations"),
        "optimizer": (memory.PAGED, "optimizer"),
        "method": ("lora", "gradients"),
    }
    before = estimate(FULL, tokens=FULL.batch_tokens, device="cuda:0").by_class
    for setting, (value, name) in moves.items():
        changed = replace(FULL, **{setting: value})
        after = estimate(changed, tokens=changed.batch_tokens, device="cuda:0").by_class
        assert after[name] < 0.8 * before[name], setting
        assert all(after[c] <= before[c] for c in MEMORY_CLASSES if c not in ("adapter", name)), setting


def test_accumulation_costs_nothing_and_processes_cost_all_of_it() -> None:
    """Gradients are added up in place; each process of a CPU run holds a model of its own, and each card one."""
    assert estimate(replace(LORA, accumulation=8)) == estimate(LORA)
    two = replace(LORA, processes=2, accumulation=2)
    assert estimate(two).needed_bytes == pytest.approx(2 * estimate(LORA).needed_bytes, abs=2)
    assert estimate(two, device="cuda:0").needed_bytes == estimate(LORA, device="cuda:0").needed_bytes


def test_one_part_at_a_time_costs_the_largest() -> None:
    """On a card: of weights and of activations the largest part's; on a CPU all weights stay."""
    both = replace(LORA, parts=("lm", "decoder"), one_part_at_a_time=True)
    together = estimate(replace(both, one_part_at_a_time=False), device="cuda:0")
    found, parts = (
        estimate(both, device="cuda:0"),
        [estimate(replace(both, parts=(p,)), device="cuda:0") for p in both.parts],
    )
    assert SIZE is not None
    assert found.weights == 4 * max(SIZE.frozen_parameters, *(part.parameters for part in SIZE.parts))
    assert found.activations == max(part.activations for part in parts) < together.activations
    assert (found.optimizer, found.weights < together.weights) == (together.optimizer, True)
    assert estimate(both).weights == together.weights


def test_paged_state_is_told_and_not_asked_of_the_card() -> None:
    """8-bit state is a byte a moment with a scale a block; on a card it may leave, elsewhere nothing is paged."""
    assert memory.optimizer_bytes([4096], memory.PAGED) == (2 * (4096 + 4 * 16), 2 * (4096 + 4 * 16))
    assert memory.optimizer_bytes([4095], memory.PAGED, can_page=False) == (8 * 4095, 0)
    assert memory.optimizer_bytes([10, 10], "adamw") == (168, 0)
    found = estimate(replace(FULL, optimizer=memory.PAGED), device="cuda:0")
    assert found.paged_bytes == found.optimizer > 0
    assert found.certain_bytes == found.weights + found.gradients


@pytest.mark.parametrize("config", [LORA, FULL, replace(LORA, processes=2, accumulation=2)])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_every_change_that_is_offered_fits(config: RunConfig, share: float) -> None:
    """A proposed change, made alone, really brings the estimate under what is available."""

    def need(changed: RunConfig) -> int:
        found = estimate(changed, tokens=changed.batch_tokens)
        return found.needed_bytes - found.reserve

    available = int(share * need(config))
    found = memory.changes_that_fit(config, need, available)
    assert found or share == 0.5
    for change in found:
        changed = replace(config, **{change.setting: change.new})
        assert change.old == getattr(config, change.setting)
        assert need(changed) <= available
        assert "fits" in change.text


def test_the_tokens_that_are_offered_are_nearly_the_most_that_fit() -> None:
    """Fifty more tokens a batch would not fit: the number is computed, not a guess."""

    def need(changed: RunConfig) -> int:
        return changed.batch_tokens * 1000

    [change] = [c for c in memory.changes_that_fit(LORA, need, 700_123) if c.setting == "batch_tokens"]
    assert change.new == 700
    assert change.text.startswith("Tokens a batch 1500 → 700: fits")
    assert memory.changes_that_fit(LORA, need, 99_000) == ()


def test_a_run_behind_another_one_counts_on_the_whole_device() -> None:
    """What a training uses now is free again when the next one starts."""
    assert SIZE is not None
    memory_now = DeviceMemory(free_bytes=10, total_bytes=1000)
    told = memory.estimate(LORA, SIZE, device="cpu", batch_tokens=1500, memory=memory_now, basis="total")
    assert told.available_bytes == 1000
    assert replace(told, basis="free").available_bytes == 10


def test_a_known_bill_is_reproduced() -> None:
    """2.26 billion weights in 32 bits: 8.4 GB each of weights and gradients, 16.8 of AdamW's state (the field's own
    arithmetic for VoxCPM 2); two bytes a number and their scales in 8 bits.
    """
    part = sizes.PartSize(
        name="lm", tensors=(2_260_000_000,), linears={}, targets=(), saved=sizes.Saved(trained=0, frozen=0)
    )
    size = sizes.ModelSize(
        parts=(part,), frozen_parameters=0, bytes_a_weight=4, tokens_a_second=1.0, feature_bytes_a_second=0
    )
    found = memory.estimate(replace(FULL, parts=("lm",)), size, device="cuda:0", batch_tokens=1)
    assert [round(found.by_class[c] / 2**30, 1) for c in ("weights", "gradients", "optimizer")] == [8.4, 8.4, 16.8]
    paged = replace(FULL, parts=("lm",), optimizer=memory.PAGED)
    assert round(memory.estimate(paged, size, device="cuda:0", batch_tokens=1).optimizer / 2**30, 1) == 4.3
