"""The two building blocks that Finch's nets share: a ConvNeXt block and finite scalar quantisation.

Rows of a batch have equal lengths here; with a `mask` a padded row gives the same result as alone
(up to rounding). Without one, decode rows of different lengths one by one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNeXtBlock(nn.Module):
    """A one-dimensional ConvNeXt block (Liu et al. 2022) over (batch, time, width)."""

    def __init__(self, width: int, kernel: int, widening: int = 3) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, width * widening)
        self.contract = nn.Linear(width * widening, width)
        self.gain = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """`x` (b, t, width); `condition` (b, 1, width) is added after the norm; `mask` (b, t, 1)."""
        if mask is not None:
            x = x * mask
        hidden = self.norm(self.depthwise(x.transpose(1, 2)).transpose(1, 2))
        if condition is not None:
            hidden = hidden + condition
        out: Tensor = x + self.gain * self.contract(functional.gelu(self.expand(hidden)))
        return out


class FiniteScalarQuantiser(nn.Module):
    """FSQ (Mentzer et al. 2023): each dimension rounded to one of a few levels, no codebook.

    A token is the mixed-radix number of its digits, the first dimension changing fastest.
    """

    levels: Tensor
    basis: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        bases = [math.prod(levels[:index]) for index in range(len(levels))]
        self.size = math.prod(levels)
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor(bases), persistent=False)

    def bounded(self, x: Tensor) -> Tensor:
        """`x` (..., dims) squashed into [0, levels - 1], before rounding."""
        return (torch.tanh(x) + 1) * (self.levels - 1) / 2

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised values in [-1, 1] with straight-through gradients, and tokens."""
        bounded = self.bounded(x)
        digits = torch.round(bounded)
        straight = bounded + (digits - bounded).detach()
        return straight * 2 / (self.levels - 1) - 1, (digits.long() * self.basis).sum(-1)

    def digits(self, tokens: Tensor) -> Tensor:
        """Digits (..., dims) of tokens (...)."""
        return (tokens[..., None] // self.basis) % self.levels

    def values(self, tokens: Tensor) -> Tensor:
        """Quantised values (..., dims) in [-1, 1] of tokens (...)."""
        return self.digits(tokens) * 2 / (self.levels - 1) - 1
