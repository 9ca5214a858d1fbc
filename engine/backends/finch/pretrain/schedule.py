"""The clock of a training stage: learning rate over wall time, optimiser steps, progress lines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.backends.finch.pretrain import parallel


@dataclass
class Trainer:
    """Steps an optimiser until `minutes` are over: warm-up, a flat part, then linear to 2 %.

    With several processes (see `parallel`) they step together on the mean of their gradients.
    """

    name: str
    optimizer: torch.optim.Optimizer
    parameters: list[Tensor]
    minutes: float
    peak_rate: float
    flat: float = 0.4
    warm_up_steps: int = 50
    report_every: int = 100
    steps: int = 0
    _sums: dict[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    fraction: float = 0.0
    """How much of the time is over, the same in all processes."""

    def ticks(self) -> Iterator[int]:
        """Step numbers until the time is over; sets the learning rate before each."""
        while self.fraction < 1:
            decay = 1.0 if self.fraction < self.flat else (1 - self.fraction) / (1 - self.flat)
            rate = self.peak_rate * min(1.0, (self.steps + 1) / self.warm_up_steps)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * max(0.02, decay)
            yield self.steps

    def step(self, parts: Mapping[str, Tensor]) -> None:
        """One optimiser step on `parts["total"]`, gradients clipped to norm 1."""
        self.optimizer.zero_grad(set_to_none=True)
        parts["total"].backward()  # type: ignore[no-untyped-call]
        over = (time.monotonic() - self._began) / (self.minutes * 60)
        self.fraction = parallel.average_gradients(self.parameters, over)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.steps += 1
        for name, value in parts.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.detach())
        if self.steps % self.report_every == 0 and parallel.rank() == 0:
            self._report()

    def _report(self) -> None:
        means = {name: total / self.report_every for name, total in self._sums.items()}
        self._sums.clear()
        seconds = time.monotonic() - self._began
        print(f"{self.name} step {self.steps} {seconds:.0f} s {line(means)}", flush=True)


def line(parts: Mapping[str, float]) -> str:
    """`name value` pairs in one line."""
    return " ".join(f"{name} {value:.3f}" for name, value in parts.items())


def adamw(
    parameters: Iterable[torch.nn.Parameter],
    rate: float,
    betas: tuple[float, float],
    weight_decay: float,
) -> torch.optim.AdamW:
    """AdamW that decays matrices only."""
    every = list(parameters)
    groups = [
        {"params": [p for p in every if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in every if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=betas, fused=True)
