"""Where a declaration lets an adapter be served, for workers that decide without a dispatcher (B7).

Only `on` and `only` count then; replicas, tiers and pins are a dispatcher's to keep.
"""

from __future__ import annotations

from dataclasses import dataclass

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.placement import Placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The workers that may serve an adapter."""

    on: frozenset[str] = frozenset()
    """Names, and `label=value`; empty: all."""
    only: bool = False
    """Nobody else, even while none of them lives."""

    def names(self, worker: WorkerAdvert) -> bool:
        """Whether it is one of those."""
        marks = {worker.worker, *(f"{name}={value}" for name, value in worker.labels.items())}
        return not self.on or not self.on.isdisjoint(marks)


ANYWHERE = Limit()


def limit_of(declared: Placement | None) -> Limit:
    """What a declaration says."""
    return ANYWHERE if declared is None else Limit(on=frozenset(declared.on), only=declared.only)
