"""The compositions that parked jobs ask for, as the planner knows them: by the digest of the recipe (C7).

Tenants may weigh adapters as they like, so a recipe is known only as long as a job of it is parked here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.composed import ResolvedComposition


@dataclass(slots=True)
class _Known:
    composition: ResolvedComposition
    jobs: int = 0


@dataclass(slots=True)
class Compositions:
    """Counts the parked jobs of each; what they need stands beside what adapters need."""

    registry: AdapterRegistry
    parts_of: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Recipe -> its adapters: kept up for the planner, as the registry's maps are."""
    _known: dict[str, _Known] = field(default_factory=dict[str, _Known])

    def __contains__(self, group: object) -> bool:
        return group in self._known

    def get(self, group: str) -> ResolvedComposition | None:
        """What a parked job's group stands for, if it is a composition."""
        known = self._known.get(group)
        return None if known is None else known.composition

    def hold(self, composition: ResolvedComposition) -> None:
        """A job of it is parked."""
        applied, registry = composition.applied, self.registry
        known = self._known.setdefault(applied.digest, _Known(composition))
        known.jobs += 1
        if known.jobs > 1:
            return
        self.parts_of[applied.digest] = applied.digests
        registry.labels[applied.digest] = applied.label
        if composition.base_digest is not None:
            registry.base_of[applied.digest] = composition.base_digest
        if composition.derived_columns is not None:
            registry.columns_of[applied.digest] = composition.derived_columns

    def release(self, composition: ResolvedComposition) -> None:
        """One is parked no more."""
        group = composition.applied.digest
        known = self._known[group]
        known.jobs -= 1
        if known.jobs:
            return
        del self._known[group], self.parts_of[group], self.registry.labels[group]
        self.registry.base_of.pop(group, None)
        self.registry.columns_of.pop(group, None)
