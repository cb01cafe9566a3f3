"""How a frozen weight is multiplied: as it is, prepacked for the CPU's matrix units, or in 8 bits."""

from __future__ import annotations

from functools import cache
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from lorayard_workers.engine.int8_kernel import Int8Kernel
from lorayard_workers.engine.quantization import BaseQuantization


class Kernel(Protocol):
    """One weight [out, in] with an optional bias, ready to run."""

    @property
    def size_bytes(self) -> int:
        """Memory of the weight."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """x is [tokens, in]; returns a fresh [tokens, out] of x's dtype."""
        ...


class PlainKernel:
    """`F.linear`."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight = weight
        self._bias = bias

    @property
    def size_bytes(self) -> int:
        """Memory of the weight."""
        return self.weight.numel() * self.weight.element_size()

    def __call__(self, x: Tensor) -> Tensor:
        """x is [tokens, in]; returns [tokens, out]."""
        return functional.linear(x, self.weight, self._bias)


class PackedKernel:
    """bf16 in oneDNN's own layout: bit-identical to `F.linear`, 1.3 to 3 times as fast."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _USUAL_ROWS)
        self._bias = bias

    @property
    def size_bytes(self) -> int:
        """Memory of the weight; oneDNN pads it a little."""
        return self.weight.numel() * self.weight.element_size()

    def __call__(self, x: Tensor) -> Tensor:
        """x is [tokens, in]; returns [tokens, out]."""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self._bias, "none", [], "")
        return found


def make_kernel(
    weight: Tensor, bias: Tensor | None, quantization: BaseQuantization = BaseQuantization.NONE
) -> Kernel:
    """The fastest that is sound here for a weight of this type and device."""
    if quantization is BaseQuantization.INT8:
        return Int8Kernel(weight, bias)
    assert quantization is BaseQuantization.NONE  # others are refused before a model is built
    if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and _can_prepack():
        return PackedKernel(weight, bias)
    return PlainKernel(weight, bias)


_USUAL_ROWS = 16
"""The batch size that oneDNN picks the layout for; other sizes run with the same layout."""


@cache
def _can_prepack() -> bool:
    """The ops are private to torch: try them once and compare before trusting them."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # untyped in torch
        return False
    x = torch.arange(64, dtype=torch.bfloat16).view(2, 32) / 64
    weight = torch.arange(512, dtype=torch.bfloat16).view(16, 32) / 512
    try:
        found = PackedKernel(weight, None)(x)
    except (AttributeError, RuntimeError):  # no such op, or no bf16 kernel on this CPU
        return False
    return torch.allclose(found.float(), functional.linear(x, weight).float(), atol=0.05)
