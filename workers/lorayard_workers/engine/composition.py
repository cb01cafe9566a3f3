"""Judges a request that names several adapters. Pure."""

from __future__ import annotations

import math
from collections.abc import Container

from lorayard_schemas.composition import MAX_PARTS as MAX_PARTS
from lorayard_schemas.composition import MERGING, USED_BY, setting_fault
from lorayard_workers.engine.request import Composition, GenerationRequest
from lorayard_workers.errors import AdapterUnknownError, RequestRefusedError


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
    if len(composition.parts) == 1 and composition.policy in MERGING:
        raise _refused("composition.parts", f"{composition.policy} needs two or more")
    for name in USED_BY:
        fault = setting_fault(composition.policy, name, getattr(composition, name))
        if fault is not None:
            raise _refused(f"composition.{name}", fault)


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
