"""Which adapters a composition is made of: each part fixed by digest (C7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lorayard_schemas.adapter import AdapterKind, AdapterRecord
from lorayard_schemas.composition import AppliedComposition, AppliedPart, Composition, recipe_digest
from lorayard_shared.jobs.composed import ResolvedComposition, base_of
from lorayard_shared.jobs.resolve import BadCompositionError, Resolution, Rule, UnknownAdapterError


def resolve_composition(composition: Composition, find: Callable[[str], AdapterRecord]) -> Resolution:
    """Every part as `find` finds an adapter that a job names. One adapter at full strength is that adapter.

    Raises:
        UnknownAdapterError: a part is not registered or not active; it names the part.
        BadCompositionError: two parts are one adapter, do not add up, or are for different base models.
    """
    records = [_part(part.adapter, find) for part in composition.parts]
    parts = tuple(
        AppliedPart(name=record.name, version=record.version, digest=record.digest, weight=part.weight)
        for part, record in zip(composition.parts, records, strict=True)
    )
    settings = composition.model_dump(include={"density", "majority_sign", "svd_rank", "seed"})
    digest = recipe_digest(composition.policy, [(part.digest, part.weight) for part in parts], **settings)
    if digest == records[0].digest:
        return Resolution(record=records[0], rule=Rule.EXPLICIT)
    _check_together(composition, records)
    applied = AppliedComposition(policy=composition.policy, parts=parts, digest=digest, **settings)
    found = ResolvedComposition(applied=applied, records=tuple(records))
    return Resolution(record=None, rule=Rule.EXPLICIT, composition=found)


def _part(spec: str, find: Callable[[str], AdapterRecord]) -> AdapterRecord:
    try:
        return find(spec)
    except UnknownAdapterError as error:
        raise UnknownAdapterError(spec=spec, reason=error.reason, field="composition") from error


def _check_together(composition: Composition, records: Sequence[AdapterRecord]) -> None:
    seen: dict[str, str] = {}
    base = base_of(records)
    for index, (part, record) in enumerate(zip(composition.parts, records, strict=True)):
        at, name = f"composition.parts.{index}.adapter", part.adapter
        if (other := seen.setdefault(record.digest, name)) != name:
            raise BadCompositionError(spec=name, field=at, reason=f"{name} and {other} are the same adapter")
        if record.kind is AdapterKind.DORA:
            reason = f"{name} has DoRA magnitudes: it cannot be weighed or summed"
            raise BadCompositionError(spec=name, field=at, reason=reason)
        if record.base_digest not in (None, base):
            reason = f"{name} is made for another base model than the parts before it: they do not combine"
            raise BadCompositionError(spec=name, field=at, reason=reason)
