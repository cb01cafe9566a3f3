"""The declarations of the bucket `yard_placements` as they were last seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.alias import DEFAULT_ALIAS
from lorayard_schemas.names import split_version
from lorayard_schemas.placement import AdapterPriority, Placement, placement_key
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.alias_book import AliasBook
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

    def of(self, record: AdapterRecord, registry: AdapterRegistry, aliases: AliasBook) -> Placement | None:
        """What counts for one version."""
        found = self._by_key.get(placement_key(f"{record.name}@{record.version}"))
        if found is None and record in meant_versions(record.name, registry, aliases):
            found = self._by_key.get(placement_key(record.name))
        return found

    @property
    def have_priorities(self) -> bool:
        """Whether a priority was declared for anything."""
        return any(one.priority is not AdapterPriority.NORMAL for one in self)

    def worths(self, known: Mapping[str, Mapping[str, AdapterRecord]]) -> dict[str, float]:
        """Digest -> what its jobs count beside usual ones, of those for which a priority was declared: the
        version's own declaration, else its name's. `known` is name -> version -> record."""
        if not self.have_priorities:
            return {}
        found: dict[str, float] = {}
        for name in {split_version(one.adapter)[0] for one in self}:
            of_name = self._by_key.get(placement_key(name))
            for version, record in known.get(name, {}).items():
                declared = self._by_key.get(placement_key(f"{name}@{version}"), of_name)
                if declared is not None and declared.priority is not AdapterPriority.NORMAL:
                    # Versions with equal bytes are one adapter: the higher word counts.
                    worth = 2.0**declared.priority.doublings
                    found[record.digest] = max(worth, found.get(record.digest, 0.0))
        return found


def meant_versions(name: str, registry: AdapterRegistry, aliases: AliasBook) -> list[AdapterRecord]:
    """The versions that a bare name stands for: those that serve and have a share of `stable`; where there is
    no such alias, the newest."""
    stable = aliases.known.get(name, {}).get(DEFAULT_ALIAS)
    if stable is not None:
        versions = registry.known.get(name, {})
        found = [versions[arm.version] for arm in stable.arms if arm.weight > 0 and arm.version in versions]
        return [record for record in found if record.state is AdapterState.ACTIVE]
    try:
        newest = resolve(name, None, registry.known).record
    except UnknownAdapterError:
        return []
    return [] if newest is None else [newest]


def _key(placement: Placement) -> str:
    return placement_key(placement.adapter)
