"""Turns a readable adapter into what a slot takes: cast, scaled and laid out per input group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lorayard_workers.adapters.files import AdapterFile, RawTensor
from lorayard_workers.errors import AdapterRefusedError
from lorayard_workers.memory.layout import GroupLayout, padded_rank

_TORCH_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWeights:
    """One group's share: A is [rank, members, in]; each member's B is [rank, out], already scaled.

    Ranks are padded with zeros, and so are members that the adapter leaves alone beside others.
    """

    a: Tensor
    b: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAdapter:
    """An adapter ready to be copied."""

    digest: str
    rank: int  # padded
    groups: Sequence[GroupWeights | None]  # in the order of the model's layouts; None: left alone
    size_bytes: int


def pack_adapter(
    adapter: AdapterFile, digest: str, layouts: Sequence[GroupLayout], dtype: torch.dtype
) -> HostAdapter:
    """Cast, fold the scale into B and pack. Raises AdapterRefusedError if the cast overflows."""
    rank = padded_rank(adapter.rank)
    sizes = [_group_size(layout, rank) if touches(adapter, layout) else 0 for layout in layouts]
    flat = torch.zeros(sum(sizes), dtype=dtype)
    groups = tuple(
        _carve(block, layout, rank) if len(block) else None
        for block, layout in zip(torch.split_with_sizes(flat, sizes), layouts, strict=True)
    )
    for layout, group in zip(layouts, groups, strict=True):
        if group is not None:
            _fill(adapter, layout, group)
    if not torch.isfinite(flat).all():
        _refuse_overflow(adapter, layouts, groups, dtype)
    return HostAdapter(digest=digest, rank=rank, groups=groups, size_bytes=flat.numel() * flat.element_size())


def touches(adapter: AdapterFile, layout: GroupLayout) -> bool:
    """Whether the adapter changes any linear of the group."""
    return any(member in adapter.pairs for member in layout.members)


def _group_size(layout: GroupLayout, rank: int) -> int:
    return rank * (len(layout.members) * layout.in_features + sum(layout.out_features))


def _carve(block: Tensor, layout: GroupLayout, rank: int) -> GroupWeights:
    members = len(layout.members)
    a, *b = torch.split_with_sizes(
        block,
        [rank * members * layout.in_features, *(rank * width for width in layout.out_features)],
    )
    return GroupWeights(
        a=a.view(rank, members, layout.in_features), b=tuple(part.view(rank, -1) for part in b)
    )


def _fill(adapter: AdapterFile, layout: GroupLayout, group: GroupWeights) -> None:
    for index, member in enumerate(layout.members):
        pair = adapter.pairs.get(member)
        if pair is None:
            continue
        group.a[: pair.rank, index].copy_(_tensor(pair.a))
        group.b[index][: pair.rank].copy_((_tensor(pair.b).float() * pair.scale).t())


def _tensor(raw: RawTensor) -> Tensor:
    return torch.frombuffer(raw.data, dtype=_TORCH_TYPES[raw.dtype]).view(raw.shape)


def _refuse_overflow(
    adapter: AdapterFile,
    layouts: Sequence[GroupLayout],
    groups: Sequence[GroupWeights | None],
    dtype: torch.dtype,
) -> None:
    for layout, group in zip(layouts, groups, strict=True):
        if group is None:
            continue
        for index, member in enumerate(layout.members):
            for side, tensor in (("A", group.a[:, index]), ("B", group.b[index])):
                bad = int((~torch.isfinite(tensor)).sum())
                if bad:
                    raise AdapterRefusedError(
                        adapter.path,
                        f"{member}: lora_{side} has {bad} values that are not finite once scaled "
                        f"and cast to {dtype}",
                        module=member,
                    )
