"""The declarations of the bucket `yard_placements` as they were last seen."""

from __future__ import annotations

from collections.abc import Iterator

from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.placement import Placement, placement_key
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.resolve import UnknownAdapterError, resolve
from lorayard_shared.jobs.watched import read_under


class Placements:
    """Declarations by bucket key, kept up by a bucket watch."""

    def __init__(self) -> None:
        self._by_key: dict[str, Placement] = {}

    def __iter__(self) -> Iterator[Placement]:
        return iter(self._by_key.values())

    def on_change(self, key: str, value: bytes | None) -> None:
        """Take one change of the bucket; an unreadable declaration is logged and counts as absent."""
        self._by_key.pop(key, None)
        found = read_under(key, value, Placement, _key) if value is not None else None
        if found is not None:
            self._by_key[key] = found

    def with_one(self, placement: Placement) -> list[Placement]:
        """As if this had been declared too."""
        return list({**self._by_key, placement_key(placement.adapter): placement}.values())

    def of(self, record: AdapterRecord, registry: AdapterRegistry) -> Placement | None:
        """What counts for one version."""
        found = self._by_key.get(placement_key(f"{record.name}@{record.version}"))
        if found is None and newest_version(record.name, registry) == record:
            found = self._by_key.get(placement_key(record.name))
        return found


def newest_version(name: str, registry: AdapterRegistry) -> AdapterRecord | None:
    """The version that a bare name stands for."""
    try:
        return resolve(name, None, registry.known).record
    except UnknownAdapterError:
        return None


def _key(placement: Placement) -> str:
    return placement_key(placement.adapter)
