"""A frozen weight in 8 bits, multiplied by the CPU's 8-bit dot products.

Weights: one signed byte each, symmetric, one scale per output channel. Activations: rounding them to 8 bits
too would cost Gemma 3 270M 5 % of its perplexity, so each token is carried in two 8-bit planes, a coarse one
and what the coarse one left, 15 bits together: all that is lost then is lost in the weights. Sums are exact
in 32 bits and every token has a scale of its own, so a token's result does not depend on its neighbours, not
even in the last bit.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

LEVELS = 127
"""Of a signed byte, symmetric."""

ZERO_POINT = 128
"""Unsigned activations: x86's byte products want one unsigned side (oneDNN is 300 times slower else)."""

_FINE = 2 * LEVELS
"""The coarse plane leaves at most half a step, which the fine one spreads over its whole range."""

MAX_IN_FEATURES = (2**31 - 1) // (255 * LEVELS)
"""More could overflow a sum of 32 bits."""

LEAST_SCALE = 1e-30
"""For rows of zeros: their scale must not be 0."""


class Int8Kernel:
    """See the module docstring. Any float dtype goes in, the same comes out."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """Rounds `weight` [out, in]; at most `MAX_IN_FEATURES` wide."""
        assert weight.shape[1] <= MAX_IN_FEATURES
        self._bias = None if bias is None else bias.float()
        rounded, self._scales = quantize_weight(weight)
        self._weight = pack_bytes(rounded)

    @property
    def size_bytes(self) -> int:
        """Memory of the weight and its scales."""
        return self._weight.numel() + 4 * self._scales.numel()

    def __call__(self, x: Tensor) -> Tensor:
        """x is [tokens, in]; returns [tokens, out]. A row that is not finite gives one that is not."""
        planes, scales = _split(x)
        sums = multiply_bytes(planes, self._weight, self._scales)
        y = sums[: len(x)].add_(sums[len(x) :], alpha=1 / _FINE).mul_(scales)
        if self._bias is not None:
            y.add_(self._bias)
        return y.to(x.dtype)


_USUAL_TOKENS = 32
"""Two planes of a batch of 16; oneDNN picks the layout for it, other sizes run with the same."""


def pack_bytes(rounded: Tensor) -> Tensor:
    """Signed bytes [out, in] in oneDNN's own layout."""
    packed: Tensor = torch.ops.onednn.qlinear_prepack(rounded, [_USUAL_TOKENS, rounded.shape[1]])
    return packed


def multiply_bytes(x: Tensor, packed: Tensor, scales: Tensor, bias: Tensor | None = None) -> Tensor:
    """x is [rows, in], signed bytes plus `ZERO_POINT`; exact sums times each scale, plus bias, in fp32."""
    zero_points = torch.zeros(len(scales), dtype=torch.int32)
    found: Tensor = torch.ops.onednn.qlinear_pointwise(
        x, 1.0, ZERO_POINT, packed, scales, zero_points, bias, 1.0, 0, torch.float32, "none", [], ""
    )
    return found


def quantize_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """[out, in] -> signed bytes and each channel's scale, in fp32."""
    wide = weight.detach().float()
    scales = (wide.abs().amax(1) / LEVELS).clamp_(min=LEAST_SCALE)
    return (wide / scales[:, None]).round_().to(torch.int8), scales


@cache
def int8_is_exact() -> bool:
    """Whether torch has the op and its sums do not saturate, tried once with the worst numbers there are.

    x86 without 8-bit dot products adds pairs of products in 16 bits, which clips them.
    """
    weight = torch.full((16, 64), float(LEVELS))
    weight[1::2] *= -1
    x = torch.full((2, 64), float(LEVELS))
    x[1] *= -1
    try:
        found = Int8Kernel(weight, None)(x)
    except (AttributeError, RuntimeError):  # no such op, or not on this CPU
        return False
    return torch.allclose(found, x @ weight.t(), rtol=1e-5)


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    """[tokens, in] -> bytes [2 * tokens, in], coarse planes first, and each token's scale [tokens, 1]."""
    tokens = len(x)
    wide = x.float()
    scales = wide.abs().amax(1, keepdim=True).div_(LEVELS).clamp_(min=LEAST_SCALE)
    wide = wide / scales
    coarse = wide.round()
    planes = wide.new_empty(2 * tokens, x.shape[1])
    torch.add(coarse, ZERO_POINT, out=planes[:tokens])
    fine = wide.sub_(coarse).mul_(_FINE).round_()
    torch.add(fine, ZERO_POINT, out=planes[tokens:])
    return planes.to(torch.uint8), scales
