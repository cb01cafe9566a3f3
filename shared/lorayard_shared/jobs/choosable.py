"""What a classifier may choose for each tenant, without looking at every name for every tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from lorayard_schemas.adapter import AdapterRecord
from lorayard_shared.jobs.adapter_registry import AdapterRegistry

REMEMBERED_TENANTS = 65_536
"""Most share one set of names."""

REMEMBERED_SETS = 1024
"""Of up to a thousand names each: 64 MB at most."""

Stands = Callable[[str, Mapping[str, AdapterRecord]], bool]
"""Whether a name stands for something among such versions."""


class Choosable:
    """As the registry is now: made anew when that changes.

    Tenants whom the same restricted versions are open to may choose the same, and most may choose none.
    """

    def __init__(self, labels: Iterable[str], registry: AdapterRegistry, stands: Stands) -> None:
        self._registry = registry
        self._stands = stands
        self._of_tenants: dict[tuple[str, ...], list[str]] = {}
        """Names of which a version is for these tenants only."""
        names = list(labels)
        for label in names:
            for tenants in {one.tenants for one in self._versions(label).values() if one.tenants}:
                self._of_tenants.setdefault(tenants, []).append(label)
        self._open = frozenset(label for label in names if self._stands_to(label, frozenset()))
        self._by_tenant: dict[str, frozenset[str]] = {}
        self._by_sets: dict[frozenset[tuple[str, ...]], frozenset[str]] = {}

    def to(self, tenant: str) -> frozenset[str]:
        """The names that stand for something that serves, to this tenant."""
        found = self._by_tenant.get(tenant)
        if found is None:
            found = self._look_up(frozenset(tenants for tenants in self._of_tenants if tenant in tenants))
            if len(self._by_tenant) >= REMEMBERED_TENANTS:
                self._by_tenant.clear()
            self._by_tenant[tenant] = found
        return found

    def _look_up(self, sets: frozenset[tuple[str, ...]]) -> frozenset[str]:
        if not sets:
            return self._open
        found = self._by_sets.get(sets)
        if found is None:
            theirs = {label for tenants in sets for label in self._of_tenants[tenants]}
            found = (self._open - theirs) | {label for label in theirs if self._stands_to(label, sets)}
            if len(self._by_sets) >= REMEMBERED_SETS:
                self._by_sets.clear()
            self._by_sets[sets] = found
        return found

    def _stands_to(self, label: str, sets: frozenset[tuple[str, ...]]) -> bool:
        versions = self._versions(label)
        if label.partition("@")[0] in self._registry.restricted:
            versions = {word: one for word, one in versions.items() if not one.tenants or one.tenants in sets}
        return self._stands(label, versions)

    def _versions(self, label: str) -> Mapping[str, AdapterRecord]:
        return self._registry.known.get(label.partition("@")[0], {})
