"""The arithmetic of merged forms: several updates of one linear become one.

TIES, DARE and magnitude pruning are PEFT's own functions, used as its `add_weighted_adapter` uses them: on A
and B separately, half of each part's strength on either side. Calling that method itself would take a copy
of the model's module tree, and ten times the time, nearly all of it Python that makes every decode step wait.
"""

from __future__ import annotations

import functools
import importlib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

import torch
from torch import Tensor

from lorayard_workers.engine.request import Composition, CompositionPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one part does to a linear: strength · B·A; A is [rank, in], B [out, rank], in float32."""

    a: Tensor
    b: Tensor
    strength: float  # the part's weight times its scale


@dataclass(slots=True)
class Combiner:
    """Combines the linears of one composition, in the model's order.

    The random masks of `dare_*` follow from the composition's seed and that order alone.
    """

    composition: Composition
    _state: Tensor | None = field(default=None, init=False)  # of the random numbers, between two linears

    def combine(self, updates: Sequence[Update]) -> tuple[Tensor, Tensor]:
        """A and B of the merged update, whose strength is 1. Each update is of another part."""
        policy = self.composition.policy
        if policy is CompositionPolicy.CAT:
            return _concatenated(updates)
        if policy is CompositionPolicy.SVD:
            wanted = self.composition.svd_rank
            assert wanted is not None  # the caller fills it in
            return _nearest_of_rank(updates, wanted)
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The density .* no pruning will be performed")
            if self._state is None:
                torch.manual_seed(self.composition.seed or 0)
            else:
                torch.set_rng_state(self._state)
            merged = self._combine_sides(updates)
            self._state = torch.get_rng_state()
        return merged

    def _combine_sides(self, updates: Sequence[Update]) -> tuple[Tensor, Tensor]:
        halves = torch.tensor([math.sqrt(abs(update.strength)) for update in updates])
        signs = torch.tensor([math.copysign(1.0, update.strength) for update in updates])
        method = _peft_method(self.composition)
        a = method([update.a for update in updates], halves * signs)
        b = method([update.b for update in updates], halves)
        return a, b


def _peft_method(composition: Composition) -> Callable[[list[Tensor], Tensor], Tensor]:
    method = getattr(_merge_utils(), str(composition.policy))
    settings: dict[str, object] = {"density": composition.density}
    if composition.policy in (CompositionPolicy.TIES, CompositionPolicy.DARE_TIES):
        settings["majority_sign_method"] = str(composition.majority_sign or "total")
    return lambda tensors, weights: method(tensors, weights, **settings)


@functools.cache
def _merge_utils() -> Any:
    """`peft.utils.merge_utils`, which needs only torch: by itself, since all of PEFT takes a second."""
    peft = find_spec("peft")
    folders = peft.submodule_search_locations if peft is not None else None
    found = PathFinder.find_spec("merge_utils", [f"{folder}/utils" for folder in folders or ()])
    if found is None or found.loader is None:
        return importlib.import_module("peft.utils.merge_utils")
    module = module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _concatenated(updates: Sequence[Update]) -> tuple[Tensor, Tensor]:
    """The exact sum: ranks side by side."""
    a = torch.cat([update.a for update in updates])
    return a, torch.cat([update.b * update.strength for update in updates], dim=1)


def _nearest_of_rank(updates: Sequence[Update], rank: int) -> tuple[Tensor, Tensor]:
    """The nearest update of that rank to the sum (Eckart and Young 1936), by way of the small factors.

    PEFT decomposes the full product: the same answer for a hundred times the work.
    """
    svd: Any = torch.linalg
    a, b = _concatenated(updates)
    outer, left = svd.qr(b.double())
    inner, right = svd.qr(a.double().t())
    u, sizes, v = svd.svd(left @ right.t())
    root: Tensor = sizes[:rank].sqrt()
    down: Tensor = root[:, None] * (v[:rank] @ inner.t())
    up: Tensor = outer @ u[:, :rank] * root
    return down.float(), up.float()
