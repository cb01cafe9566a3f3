"""Folds one adapter into the base weights, away from the weights in use."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lorayard_workers.base_model import BaseModel, base_model_digest, load_model
from lorayard_workers.engine.base_linear import joined
from lorayard_workers.engine.kernels import Kernel, make_kernel
from lorayard_workers.engine.patching import FoundGroup, find_groups
from lorayard_workers.engine.quantization import quantized_digest
from lorayard_workers.errors import AdapterRefusedError, BaseModelError
from lorayard_workers.memory.packing import GroupWeights, HostAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """One adapter's own kernels, in the order of the model's groups; None: the base's own serves."""

    digest: str
    kernels: tuple[Kernel | None, ...]


def merge(base: BaseModel, adapter: HostAdapter) -> Merged:
    """Kernels of W + BA: added in fp32, rounded once, to the base model's type or to its 8 bits.

    The weights are read from the model's files again: those in use may be packed or rounded. Takes seconds
    and another copy of the model while it runs.

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
    if quantized_digest(base_model_digest(base.folder), base.quantization) != base.digest:
        raise BaseModelError(base.folder, "its files have changed since the engine started: restart it")
    original = replace(base, model=load_model(base.folder, base.model.dtype))
    device = base.model.device
    kernels = tuple(
        None if weights is None else _kernel(found, weights, adapter, base, device)
        for found, weights in zip(find_groups(original), adapter.groups, strict=True)
    )
    return Merged(digest=adapter.digest, kernels=kernels)


def _kernel(
    found: FoundGroup, weights: GroupWeights, adapter: HostAdapter, base: BaseModel, device: torch.device
) -> Kernel:
    weight, bias = joined(found.linears)
    summed = fold(weight, weights).to(weight.dtype)
    if not torch.isfinite(summed).all():
        at = found.layout.members[0]
        reason = f"merged into the base model, {at} or its neighbours overflow {weight.dtype}"
        raise AdapterRefusedError(base.folder, f"{adapter.digest}: {reason}", module=at)
    return make_kernel(summed.to(device), None if bias is None else bias.to(device), base.quantization)


def fold(weight: Tensor, weights: GroupWeights) -> Tensor:
    """[sum(out), in] plus each member's BA, in fp32."""
    wide = weight.float().clone()
    parts = torch.split_with_sizes(wide, [b.shape[1] for b in weights.b])
    for member, (part, b) in enumerate(zip(parts, weights.b, strict=True)):
        part.addmm_(b.float().t(), weights.a[:, member].float())
    return wide
