"""Gradient checkpointing: what is computed twice is the same both times."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import torch

from engine import backends
from engine.backends.finch.tuning import Example
from engine.train import parts
from engine.train.recompute import recompute
from engine.train.session import Session
from engine.types import RunConfig

CONFIG = RunConfig(dataset="d", dropout=0.2)


def gradients(config: RunConfig) -> list[torch.Tensor]:
    """The adapters' gradients of one step of Finch, whose loss leaves training mode before the backward pass."""
    model = backends.load("finch")
    generator = torch.Generator().manual_seed(0)
    examples = [
        Example(tuple(range(1, 20)), torch.randint(0, 1000, (40,), generator=generator), torch.randn(160, 30))
        for _ in range(2)
    ]
    for n, example in enumerate(examples):
        example.target.copy_(torch.randn(160, 30, generator=torch.Generator().manual_seed(n)))
    trained = parts.attach(model, config)
    if config.gradient_checkpointing:
        recompute(model, config.parts)
    sum(model.loss(examples, model.capabilities.voices[0], config.parts, 7).values()).backward()
    assert not model.part("lm").training
    return [p.grad for part in trained for p in part.parameters.values() if p.grad is not None]


def test_dropout_is_drawn_the_same_both_times() -> None:
    """With and without checkpointing the gradients are equal to the bit, dropout and all."""
    plain, twice = gradients(CONFIG), gradients(replace(CONFIG, gradient_checkpointing=True))
    assert plain
    assert any(bool(gradient.abs().sum() > 0) for gradient in plain)
    assert all(torch.equal(a, b) for a, b in zip(plain, twice, strict=True))


def test_nothing_of_16_bits_is_kept_where_layers_are_computed_twice() -> None:
    """Autocast's copies of all trained matrices would be half of the weights again."""
    for config in (CONFIG, replace(CONFIG, gradient_checkpointing=True)):
        told = SimpleNamespace(config=replace(config, precision="bf16"), model=SimpleNamespace(device="cpu"))
        with Session.precision(told):  # type: ignore[arg-type]
            assert torch.is_autocast_enabled("cpu")
            assert torch.is_autocast_cache_enabled() is not config.gradient_checkpointing
