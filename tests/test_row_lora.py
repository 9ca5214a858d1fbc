"""The arithmetic at one Linear: any mix of rows equals the textbook formula, and a base row is untouched to the bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from engine.peft_files import LoraPair
from engine.row_lora import RowLora

IN, OUT = 6, 5
ranks = (1, 3, 4)


def make_pairs() -> list[LoraPair]:
    generator = torch.Generator().manual_seed(0)
    return [
        LoraPair(a=torch.randn(IN, r, generator=generator), b=torch.randn(r, OUT, generator=generator), scaling=2.0 / r)
        for r in ranks
    ]


def expected(linear: nn.Linear, x: Tensor, pair: LoraPair | None, scale: float) -> Tensor:
    y = nn.functional.linear(x, linear.weight, linear.bias)
    return y if pair is None else y + scale * pair.scaling * (x @ pair.a @ pair.b)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from([None, 0, 1, 2]), st.sampled_from([0.2, 0.35, 1.0, 2.0, -0.5])),
        min_size=1,
        max_size=6,
    ),
    inner=st.sampled_from([(), (1,), (4,), (2, 3)]),
    bias=st.booleans(),
)
@torch.inference_mode()
def test_every_mix_of_rows_is_the_formula_row_by_row(
    rows: list[tuple[int | None, float]], inner: tuple[int, ...], bias: bool
) -> None:
    """Row i is W x_i + scale_i * alpha/rank * x_i A_i B_i for inputs of any number of dimensions; a base row is
    exactly W x_i.
    """
    torch.manual_seed(1)
    linear = nn.Linear(IN, OUT, bias=bias)
    lora, pairs = RowLora(linear), make_pairs()
    chosen = [None if index is None else pairs[index] for index, _ in rows]
    x = torch.randn(len(rows), *inner, IN)
    bare = nn.functional.linear(x, linear.weight, linear.bias)
    lora.serve(chosen, [scale for _, scale in rows])
    y = linear(x)
    assert y.shape == bare.shape
    for i, (pair, (_, scale)) in enumerate(zip(chosen, rows, strict=True)):
        torch.testing.assert_close(y[i], expected(linear, x[i], pair, scale), atol=1e-5, rtol=1e-5)
        if pair is None:
            assert torch.equal(y[i], bare[i])


def test_rows_of_the_base_alone_are_not_computed_with() -> None:
    """With no adapted row the output is the Linear's own tensor: the base pays nothing for adapters that are loaded."""
    linear = nn.Linear(IN, OUT)
    lora = RowLora(linear)
    lora.serve([None, None], [0.0, 1.0])
    output = torch.randn(2, OUT)
    assert lora._add(linear, (torch.randn(2, IN),), output) is None


def test_detached_it_leaves_no_trace() -> None:
    """The Linear has no hook and gives its own output again."""
    linear = nn.Linear(IN, OUT)
    x = torch.randn(2, IN)
    bare = linear(x)
    lora = RowLora(linear)
    lora.serve([make_pairs()[0], None], [1.0, 0.0])
    assert not torch.equal(linear(x), bare)
    lora.detach()
    assert torch.equal(linear(x), bare)
    assert not linear._forward_hooks


@pytest.mark.parametrize("second", [None, 1])
def test_an_input_with_other_rows_is_an_error(second: int | None) -> None:
    """Both row-wise ways check the leading dimension instead of broadcasting one row's adapter over another."""
    linear = nn.Linear(IN, OUT)
    lora, pairs = RowLora(linear), make_pairs()
    lora.serve([pairs[0], None if second is None else pairs[second]], [1.0, 1.0])
    with pytest.raises(RuntimeError, match="1 rows where the adapters were set for 2"):
        linear(torch.randn(1, IN))


def test_a_half_precision_base_keeps_its_dtype_and_the_adapter_its_precision() -> None:
    """A bfloat16 Linear still gives bfloat16; the product itself is computed in float32, as PEFT does."""
    torch.manual_seed(2)
    linear = nn.Linear(IN, OUT).bfloat16()
    lora, pairs = RowLora(linear), make_pairs()
    x = torch.randn(2, IN).bfloat16()
    bare = linear(x)
    lora.serve([pairs[0], pairs[1]], [1.0, 0.5])
    y = linear(x)
    assert y.dtype == torch.bfloat16
    delta = torch.stack(
        [x[i].float() @ pairs[i].a @ pairs[i].b * pairs[i].scaling * scale for i, scale in enumerate((1.0, 0.5))]
    )
    assert torch.equal(y, (bare.float() + delta).bfloat16())
