"""Adapters kept in eight bits: half the host memory of bf16, restored while they are copied to a slot.

Each row of A and each rank's row of B has a scale of its own (symmetric, round to nearest): a rank whose
values are small then loses no more than one whose values are large.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, cast, overload

import torch
from torch import Tensor

from lorayard_workers.memory.packing import GroupWeights, HostAdapter

_LARGEST = 127
"""-128 stays unused, so that the range is symmetric."""


class Storage(StrEnum):
    """How adapters lie in host memory and in packed files."""

    MODEL = "model"
    """In the model's own type."""
    INT8 = "int8"
    """In eight bits with a scale per row: half of bf16; restored while copied to a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedTensor:
    """values · scales, in `dtype`; values [..., n] int8, scales [..., 1] float32."""

    values: Tensor
    scales: Tensor
    dtype: torch.dtype

    @property
    def size_bytes(self) -> int:
        """Bytes held."""
        return self.values.numel() + self.scales.numel() * self.scales.element_size()

    def restore(self) -> Tensor:
        """The tensor as it was, but for rounding."""
        return (self.values * self.scales).to(self.dtype)


Stored = Any
"""A field of GroupWeights with QuantizedTensor in place of the large tensors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedGroup:
    """The fields of a GroupWeights."""

    stored: Mapping[str, Stored]

    def restore(self) -> GroupWeights:
        """The group's weights in the model's type."""
        return GroupWeights(**{name: _restored(value) for name, value in self.stored.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedGroups(Sequence[GroupWeights | None]):
    """An adapter's groups; each is restored whenever it is asked for, and not kept."""

    stored: tuple[QuantizedGroup | None, ...]

    @overload
    def __getitem__(self, index: int) -> GroupWeights | None: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[GroupWeights | None]: ...
    def __getitem__(self, index: int | slice) -> GroupWeights | Sequence[GroupWeights | None] | None:
        if isinstance(index, slice):
            return replace(self, stored=self.stored[index])
        group = self.stored[index]
        return None if group is None else group.restore()

    def __len__(self) -> int:
        return len(self.stored)


def quantize_adapter(adapter: HostAdapter) -> HostAdapter:
    """The adapter with its matrices in int8; vectors stay as they are."""
    sizes: list[int] = []
    groups = tuple(None if group is None else _quantized_group(group, sizes) for group in adapter.groups)
    return replace(adapter, groups=QuantizedGroups(stored=groups), size_bytes=sum(sizes) + adapter.wide_bytes)


def quantize(tensor: Tensor) -> QuantizedTensor:
    """A finite tensor [..., n] in int8 with a scale per row."""
    values = tensor.float()
    scales = values.abs().amax(-1, keepdim=True) / _LARGEST
    safe = torch.where(scales == 0, 1.0, scales)  # a row of zeros stays one
    return QuantizedTensor(values=(values / safe).round_().to(torch.int8), scales=scales, dtype=tensor.dtype)


def _quantized_group(group: GroupWeights, sizes: list[int]) -> QuantizedGroup:
    return QuantizedGroup(stored={f.name: _quantized(getattr(group, f.name), sizes) for f in fields(group)})


def _quantized(value: object, sizes: list[int]) -> Stored:
    if isinstance(value, tuple):
        return tuple(_quantized(item, sizes) for item in cast("tuple[object, ...]", value))
    if not isinstance(value, Tensor):
        return value
    if value.dim() < 2:
        sizes.append(value.numel() * value.element_size())
        return value.clone()  # not a view of the whole adapter, which it would keep in memory
    small = quantize(value)
    sizes.append(small.size_bytes)
    return small


def _restored(value: Stored) -> Any:
    if isinstance(value, QuantizedTensor):
        return value.restore()
    if isinstance(value, tuple):
        items: tuple[Stored, ...] = value  # pyright: ignore[reportUnknownVariableType]  # as quantized
        return tuple(_restored(item) for item in items)
    return value
