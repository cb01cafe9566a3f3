"""Turns a readable adapter into what a slot takes: cast, scaled and laid out per input group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lorayard_workers.adapters.files import AdapterFile, RawTensor
from lorayard_workers.adapters.wide import WideModule, WideRole
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
class WideWeights:
    """An adapter's share of the embedding or the head, at its own rank.

    A is [rank, in] for the head, and [tokens, rank] for the embedding, which looks rows up; B is [rank, out],
    already scaled.
    """

    role: str  # a WideRole's value: files keep plain values
    a: Tensor
    b: Tensor

    @property
    def size_bytes(self) -> int:
        """Memory of both."""
        return sum(t.numel() * t.element_size() for t in (self.a, self.b))

    def to(self, device: torch.device) -> WideWeights:
        """The same there."""
        return replace(self, a=self.a.to(device), b=self.b.to(device))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAdapter:
    """An adapter ready to be copied."""

    digest: str
    rank: int  # padded
    groups: Sequence[GroupWeights | None]  # in the order of the model's layouts; None: left alone
    size_bytes: int
    wide: tuple[WideWeights, ...] = ()

    @property
    def wide_bytes(self) -> int:
        """Of `size_bytes`, what is for the embedding and the head."""
        return sum(one.size_bytes for one in self.wide)


def pack_adapter(
    adapter: AdapterFile,
    digest: str,
    layouts: Sequence[GroupLayout],
    dtype: torch.dtype,
    wide: Sequence[WideModule] = (),
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
    brought = tuple(_pack_wide(adapter, module, dtype) for module in wide if module.name in adapter.pairs)
    size_bytes = flat.numel() * flat.element_size() + sum(one.size_bytes for one in brought)
    return HostAdapter(digest=digest, rank=rank, groups=groups, size_bytes=size_bytes, wide=brought)


def _pack_wide(adapter: AdapterFile, module: WideModule, dtype: torch.dtype) -> WideWeights:
    pair = adapter.pairs[module.name]
    a = raw_to_tensor(pair.a).to(dtype)
    b = (raw_to_tensor(pair.b).float() * (pair.scale * module.multiplier)).t().to(dtype).contiguous()
    for side, tensor in (("A", a), ("B", b)):
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise _overflow(adapter, module.name, side, bad, dtype)
    if module.role is WideRole.EMBEDDING:
        a = a.t().contiguous()
    return WideWeights(role=module.role.value, a=a, b=b)


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
        group.a[: pair.rank, index].copy_(raw_to_tensor(pair.a))
        group.b[index][: pair.rank].copy_((raw_to_tensor(pair.b).float() * pair.scale).t())


def raw_to_tensor(raw: RawTensor) -> Tensor:
    """A view of the tensor's bytes."""
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
                    raise _overflow(adapter, member, side, bad, dtype)


def _overflow(
    adapter: AdapterFile, module: str, side: str, bad: int, dtype: torch.dtype
) -> AdapterRefusedError:
    return AdapterRefusedError(
        adapter.path,
        f"{module}: lora_{side} has {bad} values that are not finite once scaled and cast to {dtype}",
        module=module,
    )
