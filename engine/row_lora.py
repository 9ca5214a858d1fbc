"""LoRA whose rows differ: one Linear, and for every row of its input another adapter at another scale, in one product.

Knows the arithmetic at one Linear. Does not know files, hashes or how many Linears there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.peft_files import LoraPair


class RowLora:
    """Adds `scale_i * alpha / rank * x_i A_i B_i` to row i of what a Linear gives (Hu et al. 2021, arXiv:2106.09685,
    section 4.1).

    It hangs on the Linear as a forward hook, so the model keeps its modules, parameters and state-dict names: whatever
    PEFT can target, this can serve, and detaching it leaves no trace. Rows are those of the input's leading dimension.

    Three cases, cheapest first: no row is adapted (nothing is computed, so the output is the base's bit for bit); all
    adapted rows share one adapter (two plain products; rows at other scales, or at none, by a factor a row); rows of
    several adapters (their A and B stacked and zero-padded to the largest rank, two batched products).
    """

    def __init__(self, linear: nn.Module) -> None:
        self._served: tuple[Sequence[LoraPair | None], Sequence[float]] = ((), ())
        self._adapted: _Shared | _Stacked | None = None
        self._handle = linear.register_forward_hook(self._add)

    def detach(self) -> None:
        """Take it off the Linear."""
        self._handle.remove()

    def serve(self, pairs: Sequence[LoraPair | None], scales: Sequence[float]) -> None:
        """Use `pairs[i]` at `scales[i]` for row i from now on; None is the base."""
        self._served, self._adapted = (pairs, scales), None

    def _add(self, _linear: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if not self._served[0]:
            return None
        if self._adapted is None:  # the first time: a part of the model that is not used costs nothing to serve
            self._adapted = _adapted(*self._served)
            if self._adapted is None:
                self._served = ((), ())
                return None
        return self._adapted.add(inputs[0], output)


@dataclass(frozen=True)
class _Shared:
    """One adapter for all rows. `a` (in, rank); `b` (rank, out), with the scale in it unless `factors` (rows,) has
    one a row.
    """

    a: Tensor
    b: Tensor
    factors: Tensor | None

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        low = x.to(self.a.dtype) @ self.a
        if self.factors is not None:
            _check_rows(x, len(self.factors))
            low = low * self.factors.view(-1, *([1] * (low.ndim - 1)))
        flat = torch.addmm(y.to(self.b.dtype).reshape(-1, y.shape[-1]), low.reshape(-1, low.shape[-1]), self.b)
        return flat.view(y.shape).to(y.dtype)


@dataclass(frozen=True)
class _Stacked:
    """Another adapter a row. `a` (rows, in, rank); `b` (rows, rank, out), with each row's scale in it."""

    a: Tensor
    b: Tensor

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        rows = len(self.a)
        _check_rows(x, rows)
        low = torch.bmm(x.to(self.a.dtype).reshape(rows, -1, x.shape[-1]), self.a)
        flat = torch.baddbmm(y.to(self.b.dtype).reshape(rows, -1, y.shape[-1]), low, self.b)
        return flat.view(y.shape).to(y.dtype)


def _adapted(pairs: Sequence[LoraPair | None], scales: Sequence[float]) -> _Shared | _Stacked | None:
    distinct = {id(pair): pair for pair in pairs if pair is not None}
    if not distinct:
        return None
    if len(distinct) == 1:
        return _shared(next(iter(distinct.values())), pairs, scales)
    return _stacked(pairs, scales)


def _shared(pair: LoraPair, pairs: Sequence[LoraPair | None], scales: Sequence[float]) -> _Shared:
    weights = [0.0 if pair is None else scale * pair.scaling for pair, scale in zip(pairs, scales, strict=True)]
    if len(set(weights)) == 1:
        return _Shared(pair.a, pair.b * weights[0], None)
    return _Shared(pair.a, pair.b, torch.tensor(weights, dtype=pair.b.dtype, device=pair.b.device))


def _stacked(pairs: Sequence[LoraPair | None], scales: Sequence[float]) -> _Stacked:
    real = [pair for pair in pairs if pair is not None]
    rank = max(pair.a.shape[1] for pair in real)
    padded = {id(pair): _pad(pair, rank) for pair in real}
    nothing = (torch.zeros_like(padded[id(real[0])][0]), torch.zeros_like(padded[id(real[0])][1]))
    chosen = [nothing if pair is None else padded[id(pair)] for pair in pairs]
    weights = [0.0 if pair is None else scale * pair.scaling for pair, scale in zip(pairs, scales, strict=True)]
    factors = torch.tensor(weights, dtype=real[0].b.dtype, device=real[0].b.device)
    a = torch.stack([a for a, _ in chosen])
    b = torch.stack([b for _, b in chosen]) * factors[:, None, None]
    return _Stacked(a, b)


def _pad(pair: LoraPair, rank: int) -> tuple[Tensor, Tensor]:
    missing = rank - pair.a.shape[1]
    if not missing:
        return pair.a, pair.b
    return nn.functional.pad(pair.a, (0, missing)), nn.functional.pad(pair.b, (0, 0, 0, missing))


def _check_rows(x: Tensor, rows: int) -> None:
    if x.shape[0] != rows:
        raise RuntimeError(
            f"An adapted Linear got {x.shape[0]} rows where the adapters were set for {rows}; open `using` with them."
        )
