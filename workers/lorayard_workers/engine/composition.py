"""Judges a request that names several adapters. Pure."""

from __future__ import annotations

import math
from collections.abc import Container

from lorayard_workers.engine.protocol import Composition, CompositionPolicy, GenerationRequest
from lorayard_workers.errors import AdapterUnknownError, RequestRefusedError

MAX_PARTS = 8
"""A sum costs the slots and the columns of all its parts; published recipes mix two to five."""

_PRUNING = frozenset(
    {
        CompositionPolicy.TIES,
        CompositionPolicy.DARE_LINEAR,
        CompositionPolicy.DARE_TIES,
        CompositionPolicy.MAGNITUDE_PRUNE,
    }
)
_MERGING = _PRUNING | {CompositionPolicy.SVD}
"""PEFT would pass a single part through as it is, whatever the settings."""
_USED_BY = {
    "density": _PRUNING,
    "majority_sign": frozenset({CompositionPolicy.TIES, CompositionPolicy.DARE_TIES}),
    "svd_rank": frozenset({CompositionPolicy.SVD}),
    "seed": frozenset({CompositionPolicy.DARE_LINEAR, CompositionPolicy.DARE_TIES}),
}


def check_adapters(request: GenerationRequest, known: Container[str]) -> None:
    """The adapter, or the composition's every part, can be used.

    Raises RequestRefusedError naming the field, or AdapterUnknownError.
    """
    if request.composition is None:
        if request.adapter is not None and request.adapter not in known:
            raise AdapterUnknownError(request.adapter)
        return
    if request.adapter is not None:
        raise _refused("composition", "the request names an adapter too: send one of the two")
    check_composition(request.composition)
    for part in request.composition.parts:
        if part.digest not in known:
            raise AdapterUnknownError(part.digest)


def check_composition(composition: Composition) -> None:
    """Parts and settings make sense together. Raises RequestRefusedError naming the one that does not."""
    _check_parts(composition)
    if len(composition.parts) == 1 and composition.policy in _MERGING:
        raise _refused("composition.parts", f"{composition.policy} needs two or more")
    for name, users in _USED_BY.items():
        if getattr(composition, name) is not None and composition.policy not in users:
            fitting = ", ".join(sorted(users))
            raise _refused(
                f"composition.{name}", f"{composition.policy} has no such setting (only: {fitting})"
            )
    density, svd_rank = composition.density, composition.svd_rank
    if composition.policy in _PRUNING and (density is None or not 0 < density <= 1):
        raise _refused("composition.density", f"it is {density}: it must be over 0 and at most 1")
    if svd_rank is not None and svd_rank < 1:
        raise _refused("composition.svd_rank", f"it is {svd_rank}: it must be at least 1")
    if composition.seed is not None and composition.seed < 0:
        raise _refused("composition.seed", f"it is {composition.seed}: it cannot be negative")


def _check_parts(composition: Composition) -> None:
    parts = composition.parts
    if not 1 <= len(parts) <= MAX_PARTS:
        raise _refused("composition.parts", f"there are {len(parts)}: send 1 to {MAX_PARTS}")
    seen: set[str] = set()
    for index, part in enumerate(parts):
        if part.digest in seen:
            raise _refused(f"composition.parts[{index}].digest", f"{part.digest} is named twice")
        seen.add(part.digest)
        if not math.isfinite(part.weight) or part.weight == 0:
            raise _refused(
                f"composition.parts[{index}].weight",
                f"it is {part.weight}: it must be finite and not 0 (leave the part out)",
            )


def _refused(at: str, reason: str) -> RequestRefusedError:
    return RequestRefusedError("bad_composition", f"{at}: {reason}", field=at)
