"""A frozen linear layer, prepacked for the CPU's matrix units where that is possible."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from lorayard_workers.engine.kernels import Kernel, PlainKernel, make_kernel
from lorayard_workers.engine.quantization import BaseQuantization


class BaseLinear:
    """One or several frozen linears that read the same input, as one GEMM."""

    def __init__(
        self, members: Sequence[nn.Linear], quantization: BaseQuantization = BaseQuantization.NONE
    ) -> None:
        """The members' weights are copied where they must be joined, repacked or rounded."""
        weight, bias = joined(members)
        self.in_features = members[0].in_features
        self.out_features = tuple(member.out_features for member in members)
        self.has_bias = bias is not None
        self.dtype, self.device = weight.dtype, weight.device
        self.bias = bias
        """Of all members, one after the other."""
        self._own: Kernel = make_kernel(weight, bias, quantization)
        self._kernel = self._own

    @property
    def size_bytes(self) -> int:
        """Memory of the weight."""
        return self._kernel.size_bytes

    def bytes_beside(self, held: Container[int]) -> int:
        """The same, or nothing where the weight is one of those that others hold (by `data_ptr`): a head
        may be the embedding."""
        kernel = self._kernel
        shared = isinstance(kernel, PlainKernel) and kernel.weight.data_ptr() in held
        return 0 if shared else kernel.size_bytes

    def wear(self, kernel: Kernel | None) -> None:
        """Multiply by another weight of this shape from now on; None: by its own, which was never touched."""
        self._kernel = kernel or self._own

    def __call__(self, x: Tensor) -> Tensor:
        """x is [tokens, in]; returns a fresh [tokens, sum(out)]."""
        return self._kernel(x)

    def own(self, x: Tensor) -> Tensor:
        """The same by its own weight, whatever it wears."""
        return self._own(x)


class Head(nn.Module):
    """The output projection.

    Always given contiguous rows: on CPU `F.linear` on a strided slice against a frozen weight copies
    the whole weight for each row and is 600 times slower (torch 2.13).
    """

    def __init__(self, linear: nn.Linear, quantization: BaseQuantization = BaseQuantization.NONE) -> None:
        super().__init__()
        self.linear = BaseLinear([linear], quantization)
        self.vocabulary = linear.out_features

    def forward(self, x: Tensor) -> Tensor:
        """x is [..., in]; returns [..., vocabulary]."""
        flat = x.reshape(-1, x.shape[-1]).contiguous()
        return self.linear(flat).view(*x.shape[:-1], -1)


def joined(members: Sequence[nn.Linear]) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of all members, one below the other; a single one's are not copied."""
    weights = [member.weight.detach() for member in members]
    biases = [cast("Tensor | None", member.bias) for member in members]
    assert all((bias is None) == (biases[0] is None) for bias in biases)  # one kind per group
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    present = [bias.detach() for bias in biases if bias is not None]
    return weight, torch.cat(present) if present else None
