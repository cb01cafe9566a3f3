"""Turns a readable adapter into what a slot takes: cast, scaled and laid out per input group."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_shared.adapters.files import AdapterFile, LoraPair, RawTensor
from lorayard_workers.adapters.wide import WideModule, WideRole
from lorayard_workers.memory.base_weights import BaseWeights
from lorayard_workers.memory.layout import GroupLayout, padded_rank

_AT_ONCE = 64
"""Modules that are packed together: B of so many is in memory in fp32 meanwhile."""

_TORCH_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWeights:
    """One group's share: A is [rank, members, in]; each member's B is [rank, out], already scaled.

    Ranks are padded with zeros, and so are members that the adapter leaves alone beside others.
    """

    a: Tensor
    b: tuple[Tensor, ...]
    gain: Tensor | None = None  # DoRA: [sum(out)], what the outputs are multiplied by, LoRA's share included
    shift: Tensor | None = None  # [sum(out)], added after that


_Place = tuple[LoraPair, Tensor, Tensor]
"""A module's update, and where its A and B go."""


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
    sums: bool = True
    """Whether it is a plain sum of products: only those can be weighed, summed with others, or merged."""

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
    base: BaseWeights | None = None,
    pause: Callable[[], None] = lambda: None,
) -> HostAdapter:
    """Cast, fold the scale into B and pack; `pause` is called after each module that takes long.

    Raises AdapterRefusedError if the cast overflows, BaseModelError if DoRA meets other base weights.
    """
    rank = padded_rank(adapter.rank)
    sizes = [_group_size(layout, rank) if touches(adapter, layout) else 0 for layout in layouts]
    flat = torch.zeros(sum(sizes), dtype=dtype)
    groups = tuple(
        _carve(block, layout, rank) if len(block) else None
        for block, layout in zip(torch.split_with_sizes(flat, sizes), layouts, strict=True)
    )
    filled = [(layout, group) for layout, group in zip(layouts, groups, strict=True) if group is not None]
    places = [place for layout, group in filled for place in _places(adapter, layout, group)]
    for first in range(0, len(places), _AT_ONCE):
        _fill(places[first : first + _AT_ONCE])
    if not _all_finite(flat):
        _refuse_overflow(adapter, layouts, groups, dtype)
    if base is not None and any(pair.magnitude is not None for pair in adapter.pairs.values()):
        base.check()
    if any(pair.vectors for pair in adapter.pairs.values()):
        groups = tuple(
            None if group is None else with_vectors(adapter, layout, group, base, pause)
            for layout, group in zip(layouts, groups, strict=True)
        )
    brought = tuple(_pack_wide(adapter, module, dtype) for module in wide if module.name in adapter.pairs)
    vectors = [v for group in groups if group is not None for v in (group.gain, group.shift) if v is not None]
    size_bytes = sum(t.numel() * t.element_size() for t in (flat, *vectors))
    size_bytes += sum(one.size_bytes for one in brought)
    return HostAdapter(
        digest=digest, rank=rank, groups=groups, size_bytes=size_bytes, wide=brought, sums=not vectors
    )


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


def _places(adapter: AdapterFile, layout: GroupLayout, group: GroupWeights) -> Iterator[_Place]:
    for index, member in enumerate(layout.members):
        pair = adapter.pairs.get(member)
        if pair is not None:
            yield pair, group.a[: pair.rank, index], group.b[index][: pair.rank]


def _fill(places: Sequence[_Place]) -> None:
    """In a few calls for all of them, within which nobody waits for the interpreter's lock."""
    a = [raw_to_tensor(pair.a) for pair, _, _ in places]
    b = [raw_to_tensor(pair.b).float() for pair, _, _ in places]
    if any(pair.scale != 1.0 for pair, _, _ in places):
        b = torch.ops.aten._foreach_mul(b, [pair.scale for pair, _, _ in places])
    torch.ops.aten._foreach_copy_([to for _, to, _ in places], a)
    torch.ops.aten._foreach_copy_([to for _, _, to in places], [one.t() for one in b])


def _all_finite(values: Tensor) -> bool:
    """By the least and the largest, which are NaN if any is: `isfinite` takes twenty times as long."""
    return not len(values) or all(math.isfinite(end) for end in map(float, torch.aminmax(values)))


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


def with_vectors(
    adapter: AdapterFile,
    layout: GroupLayout,
    group: GroupWeights,
    base: BaseWeights | None,
    pause: Callable[[], None] = lambda: None,
) -> GroupWeights:
    """Gain and shift of a group: DoRA's lengths and LoRA biases, as an affine step after everything else.

    DoRA (arXiv:2402.09353) gives each output's weights W + BA the length m: all but the base's own bias is
    multiplied by g = m / |W + BA|. So y becomes g·y + (1 - g)·bias.
    """
    parts: list[tuple[Tensor, Tensor]] = []
    for member, width in layout.widths:
        parts.append(_affine(adapter, member, width, base))
        pause()
    gain = torch.cat([part[0] for part in parts])
    shift = torch.cat([part[1] for part in parts])
    for name, tensor in (("gain", gain), ("shift", shift)):
        if not torch.isfinite(tensor).all():
            raise _overflow(
                adapter, layout.members[0], name, int((~torch.isfinite(tensor)).sum()), tensor.dtype
            )
    return replace(group, gain=gain if bool((gain != 1).any()) else None, shift=shift)


def _affine(adapter: AdapterFile, module: str, width: int, base: BaseWeights | None) -> tuple[Tensor, Tensor]:
    """[out] each, in fp32."""
    gain, shift = torch.ones(width), torch.zeros(width)
    pair = adapter.pairs.get(module)
    if pair is not None and pair.bias is not None:
        shift = raw_to_tensor(pair.bias).float() * pair.scale
    if pair is not None and pair.magnitude is not None:
        weight = None if base is None else base.weight(module)
        if base is None or weight is None or weight.shape != (pair.b.shape[0], pair.a.shape[1]):
            raise AdapterRefusedError(
                adapter.path,
                f"{module}: DoRA needs the base weight, which its files do not name",
                module=module,
            )
        summed = weight + pair.scale * (raw_to_tensor(pair.b).float() @ raw_to_tensor(pair.a).float())
        gain = raw_to_tensor(pair.magnitude).float() / summed.square().sum(1).sqrt()
        bias = base.bias(module)
        shift = torch.zeros(width) if bias is None else (1 - gain) * bias
    return gain, shift


def _overflow(
    adapter: AdapterFile, module: str, side: str, bad: int, dtype: torch.dtype
) -> AdapterRefusedError:
    return AdapterRefusedError(
        adapter.path,
        f"{module}: lora_{side} has {bad} values that are not finite once scaled and cast to {dtype}",
        module=module,
    )
