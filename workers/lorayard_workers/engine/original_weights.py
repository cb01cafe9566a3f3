"""The decoder's weights as they were before the engine packed or rounded them, one group at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from lorayard_workers.base_model import BaseModel, load_model
from lorayard_workers.engine.base_linear import BaseLinear, joined
from lorayard_workers.engine.patching import find_groups
from lorayard_workers.memory.base_weights import BaseWeights
from lorayard_workers.memory.layout import GroupLayout

_MOST_ERROR = 0.1
"""Of a product, against one by the weights in use: 8 bits make some 0.02, other weights 1 and more."""


class OriginalWeights:
    """Read from the model's files by the modules' names; all at once only where these mean something else."""

    def __init__(self, base: BaseModel, files: BaseWeights) -> None:
        self._base = base
        self._files = files

    def of(self, layout: GroupLayout, linear: BaseLinear) -> Tensor:
        """[sum(out), in] in the model's type, on the CPU; `linear` is the group in use.

        Raises BaseModelError.
        """
        found = self._named(layout)
        if found is None or not _serves(found, linear):
            return self._all[layout.members]
        return found

    def _named(self, layout: GroupLayout) -> Tensor | None:
        dtype = self._base.model.dtype
        parts: list[Tensor] = []
        for member, width in layout.widths:
            part = self._files.weight(member)
            if part is None or part.shape != (width, layout.in_features):
                return None
            parts.append(part.to(dtype))
        return torch.cat(parts)

    @cached_property
    def _all(self) -> Mapping[tuple[str, ...], Tensor]:
        """Some models rename or convert what they load: then only transformers knows."""
        loaded = replace(self._base, model=load_model(self._base.folder, self._base.model.dtype))
        return {group.layout.members: joined(group.linears)[0] for group in find_groups(loaded)}


def _serves(weight: Tensor, linear: BaseLinear) -> bool:
    """Whether it is what the linear multiplies by: a name alone does not say so."""
    x = torch.randn(1, linear.in_features, generator=torch.Generator().manual_seed(0)).to(linear.dtype)
    wanted = linear.own(x.to(linear.device)).float()
    if linear.bias is not None:
        wanted -= linear.bias.float()
    found = functional.linear(x, weight).float()
    apart = found - wanted.cpu()
    return float(apart.square().sum()) <= _MOST_ERROR**2 * float(found.square().sum())
