"""Adapters as labels, as many as a Prometheus can take."""

from __future__ import annotations

from lorayard_shared.metrics.declared import BASE, COMPOSITION, OTHER

Labels = tuple[str, ...]

BASE_LABELS = (BASE, "")
COMPOSITION_LABELS = (COMPOSITION, "")
OTHER_LABELS = (OTHER, "")
"""Of `adapter` and `version`, where there is no one adapter."""


class TenantLabels:
    """Tenants as labels, by the same rule."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._known = set[str]()

    def of(self, tenant: str) -> str:
        """The label `tenant`."""
        if tenant in self._known:
            return tenant
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(tenant)
        return tenant


class AdapterLabels:
    """Name and version of adapters as labels: the first so many that are seen, then `other` for all.

    None is ever forgotten: whoever took turns on a place would be a new series each time.
    """

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[tuple[str, str], Labels] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, name: str, version: str = "") -> Labels:
        """The labels `adapter` and `version`."""
        key = (name, version)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= self._most:
                return OTHER_LABELS
            self._known[key] = known = key
        return known

    def of_label(self, label: str) -> Labels:
        """The same of `name@version`."""
        name, _, version = label.partition("@")
        return self.of(name, version)
