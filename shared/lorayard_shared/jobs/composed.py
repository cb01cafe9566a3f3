"""A composition whose parts are known (C7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.assignment import AdapterRef
from lorayard_schemas.composition import AppliedComposition, CompositionPolicy

COLUMN_PAGE = 8
"""An adapter takes its rank, rounded up to this, of a worker's columns; the workers' own number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedComposition:
    """A composition with the records of its parts."""

    applied: AppliedComposition
    records: tuple[AdapterRecord, ...]

    @property
    def base_digest(self) -> str | None:
        """Of the one base model that all parts are made for; None: no record says."""
        return base_of(self.records)

    @property
    def refs(self) -> tuple[AdapterRef, ...]:
        """The parts, as jobs of one adapter name theirs."""
        return tuple(
            AdapterRef(name=part.name, version=part.version, digest=part.digest)
            for part in self.applied.parts
        )

    @property
    def slots(self) -> int:
        """How many a worker needs for it."""
        return len(self.records) if self.applied.summed else 1

    @property
    def columns(self) -> int:
        """What it takes of a worker's slots in all, at most."""
        derived = self.derived_columns
        return derived or sum(record.columns or record.rank for record in self.records)

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


def base_of(records: Sequence[AdapterRecord]) -> str | None:
    """The first base model that any of them says it is made for."""
    return next((record.base_digest for record in records if record.base_digest is not None), None)
