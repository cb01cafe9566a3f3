"""Which adapters a composition is made of: each part fixed by digest (C7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.composition import (
    AppliedComposition,
    AppliedPart,
    Composition,
    CompositionPolicy,
    recipe_digest,
)
from lorayard_shared.jobs.resolve import Resolution, Rule, Versions, resolve

COLUMN_PAGE = 8
"""An adapter takes its rank, rounded up to this, of a worker's columns; the workers' own number."""


class BadCompositionError(Exception):
    """The parts do not go together; `field` is the part at fault."""

    def __init__(self, *, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedComposition:
    """A composition whose parts are known."""

    applied: AppliedComposition
    records: tuple[AdapterRecord, ...]

    @property
    def base_digest(self) -> str | None:
        """Of the one base model that all parts are made for; None: no record says."""
        return _base(self.records)

    @property
    def is_plain(self) -> bool:
        """Whether it is one adapter at full strength: that adapter itself."""
        return self.applied.digest == self.records[0].digest

    @property
    def derived_columns(self) -> int | None:
        """What the derived adapter takes of a worker's slots, at most; None for a sum."""
        policy, ranks = self.applied.policy, [record.rank for record in self.records]
        if policy is CompositionPolicy.SUM:
            return None
        rank = sum(ranks) if policy is CompositionPolicy.CAT else max(ranks)
        if policy is CompositionPolicy.SVD and self.applied.svd_rank is not None:
            rank = min(sum(ranks), self.applied.svd_rank)
        return -(-rank // COLUMN_PAGE) * COLUMN_PAGE


def resolve_composition(composition: Composition, known: Versions) -> ResolvedComposition:
    """Every part as `resolve` finds an adapter that a job names.

    Raises:
        UnknownAdapterError: a part is not registered or not active; it names the part.
        BadCompositionError: two parts are one adapter, or are made for different base models.
    """
    records = [_record(part.adapter, known) for part in composition.parts]
    _check_together(composition, records)
    parts = tuple(
        AppliedPart(name=record.name, version=record.version, digest=record.digest, weight=part.weight)
        for part, record in zip(composition.parts, records, strict=True)
    )
    settings = composition.model_dump(include={"density", "majority_sign", "svd_rank", "seed"})
    digest = recipe_digest(composition.policy, [(part.digest, part.weight) for part in parts], **settings)
    applied = AppliedComposition.model_construct(
        policy=composition.policy, parts=parts, digest=digest, **settings
    )
    return ResolvedComposition(applied=applied, records=tuple(records))


def plain(found: ResolvedComposition) -> Resolution:
    """A composition that is one adapter itself, as if the job had named that adapter."""
    return Resolution(record=found.records[0], rule=Rule.EXPLICIT)


def _record(spec: str, known: Versions) -> AdapterRecord:
    record = resolve(spec, None, known).record
    assert record is not None, "no part is the base model"
    return record


def _check_together(composition: Composition, records: Sequence[AdapterRecord]) -> None:
    seen: dict[str, str] = {}
    base = _base(records)
    for index, (part, record) in enumerate(zip(composition.parts, records, strict=True)):
        at = f"composition.parts.{index}.adapter"
        if (other := seen.setdefault(record.digest, part.adapter)) != part.adapter:
            raise BadCompositionError(field=at, reason=f"{part.adapter} and {other} are the same adapter")
        if _base([record]) not in (None, base):
            reason = f"{part.adapter} is made for another base model than the parts before it"
            raise BadCompositionError(field=at, reason=f"{reason}: they cannot be combined")


def _base(records: Sequence[AdapterRecord]) -> str | None:
    said: list[str | None] = [record.base_digest for record in records]
    return next((base for base in said if base is not None), None)
