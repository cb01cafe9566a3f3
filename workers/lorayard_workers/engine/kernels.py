"""How a frozen weight is multiplied: as it is, prepacked for the CPU's matrix units, or in 8 bits."""

from __future__ import annotations

from functools import cache
from typing import Protocol

import structlog
import torch
from torch import Tensor
from torch.nn import functional

from lorayard_shared.logs import Event
from lorayard_workers.engine.int8_kernel import Int8Kernel
from lorayard_workers.engine.quantization import BaseQuantization
from lorayard_workers.engine.timing import fastest_seconds

_log = structlog.stdlib.get_logger(__name__)


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
    """bf16 in oneDNN's own layout: bit-identical to `F.linear`, 1.3 to 3 times as fast.

    Many rows are multiplied in fp32 where that is faster, by a copy of the weight that lives as long as the
    product: sums were in fp32 anyhow, and are rounded to bf16 once, but may be added up in another order.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, widens: bool = False) -> None:
        """`widens`: multiply many rows in fp32."""
        self.weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _USUAL_ROWS)
        self._bias = bias
        self._widens = widens

    @property
    def size_bytes(self) -> int:
        """Memory of the weight; oneDNN pads it a little."""
        return self.weight.numel() * self.weight.element_size()

    def __call__(self, x: Tensor) -> Tensor:
        """x is [tokens, in]; returns [tokens, out]."""
        if self._widens and len(x) >= MANY_ROWS:
            return self.widened(x)
        return self.narrow(x)

    def narrow(self, x: Tensor) -> Tensor:
        """The product in bf16."""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self._bias, "none", [], "")
        return found

    def widened(self, x: Tensor) -> Tensor:
        """The product in fp32, rounded to x's dtype."""
        bias = None if self._bias is None else self._bias.float()
        return functional.linear(x.float(), self.weight.to_dense(torch.float32), bias).to(x.dtype)


def make_kernel(
    weight: Tensor, bias: Tensor | None, quantization: BaseQuantization = BaseQuantization.NONE
) -> Kernel:
    """The fastest that is sound here for a weight of this type and device."""
    if quantization is BaseQuantization.INT8:
        return Int8Kernel(weight, bias)
    assert quantization is BaseQuantization.NONE  # others are refused before a model is built
    if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and _can_prepack():
        return PackedKernel(weight, bias, widens=weight.numel() <= _MAX_WIDENED and widening_pays())
    return PlainKernel(weight, bias)


_USUAL_ROWS = 16
"""The batch size that oneDNN picks the layout for; other sizes run with the same layout."""


MANY_ROWS = 128
"""The copy of the weight in fp32 costs as much as the product of some 40 rows: at 64 rows of Gemma 3 270M it
ate the gain and more, at 128 it is about even, at 512 1.3 to 1.5 times as fast (AVX512-bf16, no AMX;
`benchmarks/engine/footprint.py`)."""

_MAX_WIDENED = 1 << 27
"""Values of a weight that is copied: half a GB for a moment."""

_LEAST_GAIN = 0.85
"""How many times as fast fp32 must be to be used. A Xeon's AVX512-bf16 made 1.4 on a quiet machine and 1.06
on a crowded one. Twice the rate in bf16 must make about 0.6 and AMX far less (by arithmetic, not measured):
every start decides alike."""

_TRIED_ROWS, _TRIED_SIZE = 512, 1024
_TRIES = 4
"""In turn: another program that comes and goes then slows both."""


@cache
def widening_pays() -> bool:
    """Whether products of many rows are faster in fp32 here; measured once in a process (0.2 s)."""
    kernel = PackedKernel(torch.ones(_TRIED_SIZE, _TRIED_SIZE, dtype=torch.bfloat16), None)
    x = torch.ones(_TRIED_ROWS, _TRIED_SIZE, dtype=torch.bfloat16)
    seconds = [
        (fastest_seconds(lambda: kernel.narrow(x)), fastest_seconds(lambda: kernel.widened(x)))
        for _ in range(_TRIES)
    ]
    gain = min(narrow for narrow, _ in seconds) / min(wide for _, wide in seconds)
    _log.info(Event.PRODUCTS_WIDENED, times_as_fast=round(gain, 2), used=gain >= _LEAST_GAIN)
    return gain >= _LEAST_GAIN


@cache
def _can_prepack() -> bool:
    """The ops are private to torch: try them once and compare before trusting them."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # untyped in torch
        return False
    x = torch.arange(64, dtype=torch.bfloat16).view(2, 32) / 64
    weight = torch.arange(512, dtype=torch.bfloat16).view(16, 32) / 512
    try:
        kernel = PackedKernel(weight, None)
        found, wide = kernel.narrow(x), kernel.widened(x)
    except (AttributeError, RuntimeError):  # no such op, or no bf16 kernel on this CPU
        return False
    wanted = functional.linear(x, weight).float()
    return all(torch.allclose(one.float(), wanted, atol=0.05) for one in (found, wide))
