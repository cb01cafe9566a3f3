"""Folds one adapter into the base weights, away from the weights in use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from lorayard_shared.adapters.errors import AdapterRefusedError
from lorayard_workers.base_model import BaseModel
from lorayard_workers.engine.base_linear import BaseLinear
from lorayard_workers.engine.kernels import Kernel, make_kernel
from lorayard_workers.engine.original_weights import OriginalWeights
from lorayard_workers.errors import BaseModelError
from lorayard_workers.memory.base_weights import BaseWeights
from lorayard_workers.memory.layout import GroupLayout
from lorayard_workers.memory.packing import GroupWeights, HostAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """One adapter's own kernels, in the order of the model's groups; None: the base's own serves."""

    digest: str
    kernels: tuple[Kernel | None, ...]


def merge(
    base: BaseModel,
    adapter: HostAdapter,
    *,
    groups: Iterable[tuple[GroupLayout, BaseLinear]],
    files: BaseWeights,
) -> Merged:
    """Kernels of W + BA: added in fp32, rounded once, to the base model's type or to its 8 bits.

    The weights are read from the model's files again, group by group: those in use may be packed or rounded.
    Takes seconds, and memory for what it makes and a few copies of one group in fp32.

    Raises:
        BaseModelError: the files are not those that the engine was started with.
        AdapterRefusedError: a sum does not fit the model's type, or the adapter changes more than linears.
    """
    if not adapter.sums:
        raise AdapterRefusedError(
            base.folder, f"{adapter.digest}: its gains and biases cannot be folded into the base weights"
        )
    if adapter.wide:
        changed = " and ".join(one.role for one in adapter.wide)
        raise AdapterRefusedError(
            base.folder, f"{adapter.digest}: its LoRA on the {changed} cannot be folded into the base weights"
        )
    original = OriginalWeights(base, files)
    _check_files(base)
    kernels = tuple(
        None if weights is None else _kernel(base, adapter, layout, weights, linear, original)
        for (layout, linear), weights in zip(groups, adapter.groups, strict=True)
    )
    _check_files(base)  # nor did they change meanwhile
    return Merged(digest=adapter.digest, kernels=kernels)


def _check_files(base: BaseModel) -> None:
    if not base.files_unchanged():
        raise BaseModelError(base.folder, "its files have changed since the engine started: restart it")


def _kernel(
    base: BaseModel,
    adapter: HostAdapter,
    layout: GroupLayout,
    weights: GroupWeights,
    linear: BaseLinear,
    original: OriginalWeights,
) -> Kernel:
    summed = fold(original.of(layout, linear), weights).to(linear.dtype)
    if not torch.isfinite(summed).all():
        at = layout.members[0]
        reason = f"merged into the base model, {at} or its neighbours overflow {linear.dtype}"
        raise AdapterRefusedError(base.folder, f"{adapter.digest}: {reason}", module=at)
    return make_kernel(summed.to(linear.device), linear.bias, base.quantization)


def fold(weight: Tensor, weights: GroupWeights) -> Tensor:
    """[sum(out), in] plus each member's BA, in fp32."""
    wide = weight.to(torch.float32, copy=True)
    parts = torch.split_with_sizes(wide, [b.shape[1] for b in weights.b])
    for member, (part, b) in enumerate(zip(parts, weights.b, strict=True)):
        part.addmm_(b.float().t(), weights.a[:, member].float())
    return wide
