"""What the declarations of the bucket `yard_placements` ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lorayard_dispatcher.planning.placement import Wish
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.names import split_version
from lorayard_schemas.placement import Placement
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.alias_book import AliasBook
from lorayard_shared.jobs.placements import meant_versions


def wishes(placements: Iterable[Placement], registry: AdapterRegistry, aliases: AliasBook) -> dict[str, Wish]:
    """Digest -> what is asked for it.

    A name stands for what its `stable` leads to, each for itself, or for its newest version; the others ask
    for nothing: what was pinned of them is let go.
    """
    by_name = {one.adapter: one for one in placements}
    found: dict[str, Wish] = {}
    let_go: dict[str, Wish] = {}
    for spec in sorted(by_name, key=lambda spec: ("@" not in spec, spec)):  # those of a version first
        name, version = split_version(spec)
        meant = meant_versions(name, registry, aliases)
        for record in registry.known.get(name, {}).values():
            if version == record.version or (version is None and record in meant):
                found.setdefault(record.digest, _wish(by_name[spec], record, registry.columns_of))
            elif version is None:
                let_go[record.digest] = _nothing(record)
    # Versions with equal bytes are one adapter: what is asked for one of them counts.
    return {**let_go, **found}


def _wish(placement: Placement, record: AdapterRecord, columns_of: Mapping[str, int]) -> Wish:
    return Wish(
        digest=record.digest,
        base_digest=record.base_digest,
        tier=placement.tier,
        least=placement.replicas_min,
        most=placement.replicas_max,
        on=frozenset(placement.on),
        only=placement.only,
        pin=placement.pin,
        columns=columns_of.get(record.digest, 0),
        worth=2.0**placement.priority.doublings,
    )


def _nothing(record: AdapterRecord) -> Wish:
    return Wish(digest=record.digest, base_digest=record.base_digest)
