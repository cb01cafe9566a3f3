"""Frozen weights, multiplied in bf16 or, many rows at a time, in fp32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lorayard_workers.engine import kernels
from lorayard_workers.engine.kernels import MANY_ROWS, PackedKernel, PlainKernel, make_kernel

pytestmark = pytest.mark.skipif(
    not kernels._can_prepack(),  # pyright: ignore[reportPrivateUsage]
    reason="torch prepacks no bf16 weights on this CPU",
)

OUT, IN = 96, 72


def given(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """x, weight and bias."""
    torch.manual_seed(rows)
    return (
        torch.randn(rows, IN, dtype=torch.bfloat16),
        torch.randn(OUT, IN, dtype=torch.bfloat16),
        torch.randn(OUT, dtype=torch.bfloat16),
    )


@pytest.mark.parametrize("rows", [1, 16, MANY_ROWS - 1, MANY_ROWS, 3 * MANY_ROWS])
@pytest.mark.parametrize("biased", [False, True])
def test_either_way_the_product_is_that_of_full_precision_rounded_once(rows: int, biased: bool) -> None:
    x, weight, bias = given(rows)
    kernel = PackedKernel(weight, bias if biased else None, widens=True)
    found = kernel(x)
    wanted = functional.linear(x.double(), weight.double(), bias.double() if biased else None)
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous()
    torch.testing.assert_close(found.double(), wanted, rtol=2.0**-8, atol=2.0**-16 * IN)


def test_only_many_rows_are_widened_and_only_where_asked() -> None:
    torch.manual_seed(0)
    x = torch.randn(MANY_ROWS, 4096, dtype=torch.bfloat16)  # long sums show the order of addition
    weight = torch.randn(OUT, 4096, dtype=torch.bfloat16)
    wide, narrow = PackedKernel(weight, None, widens=True), PackedKernel(weight, None)
    assert not torch.equal(narrow.narrow(x), narrow.widened(x))
    assert torch.equal(wide(x), narrow.widened(x))
    assert torch.equal(wide(x[:-1]), narrow.narrow(x[:-1]))
    assert torch.equal(narrow(x), narrow.narrow(x))


def test_the_fp32_copy_holds_the_same_weights() -> None:
    _, weight, _ = given(1)
    assert torch.equal(PackedKernel(weight, None).weight.to_dense(torch.float32), weight.float())


def test_fp32_models_are_left_as_they_are() -> None:
    _, weight, bias = given(1)
    assert isinstance(make_kernel(weight.float(), bias.float()), PlainKernel)
