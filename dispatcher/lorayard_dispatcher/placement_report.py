"""Where adapters should be, and are, for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from lorayard_dispatcher.keeping import Keeping
from lorayard_dispatcher.planning.placement import Site, Target, Wish
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.names import split_version
from lorayard_schemas.placement import MOST_TOLD, AdapterTier, PlacedAdapter, PlacementReport
from lorayard_shared.jobs.adapter_registry import AdapterRegistry
from lorayard_shared.jobs.placements import meant_versions
from lorayard_shared.jobs.resolve import UnknownAdapterError, resolve


def report(
    dispatcher: str,
    keeping: Keeping,
    registry: AdapterRegistry,
    adapter: str | None,
    *,
    most: int = MOST_TOLD,
) -> PlacementReport:
    """One adapter, or all of which something is asked; those out of place first, up to `most`."""
    if adapter is None:
        records = [record for record in _records(registry) if not _is_plain(keeping, record)]
    else:
        records = _named(adapter, keeping, registry)
    sites = keeping.sites(time.monotonic())
    placed = sorted(
        (_placed(record, sites, keeping, registry) for record in records),
        key=lambda one: (one.kept, one.adapter),
    )
    return PlacementReport(
        dispatcher=dispatcher,
        active=keeping.is_active(),
        adapters=tuple(placed[:most]),
        total=len(placed),
        kept=sum(one.kept for one in placed),
    )


def _placed(
    record: AdapterRecord, sites: Sequence[Site], keeping: Keeping, registry: AdapterRegistry
) -> PlacedAdapter:
    digest, keeper = record.digest, keeping.keeper
    wish = keeper.wishes.get(digest) or Wish(digest=digest)
    target = keeper.targets.get(digest, Target())
    demand = keeper.inference.demand(digest)
    return PlacedAdapter(
        adapter=f"{record.name}@{record.version}",
        tier=_tier(wish, sites, demand),
        declared=keeping.placements.of(record, registry, keeping.aliases),
        merged=target.merged,
        replicas=target.replicas,
        allowed=None if target.allowed is None else tuple(sorted(target.allowed)),
        is_merged=_where(sites, lambda site: site.dedicated == digest),
        in_slot=_where(sites, lambda site: digest in site.resident),
        in_host=_where(sites, lambda site: digest in site.host),
        short=target.short,
        demand_rows=round(demand, 2),
        trouble=tuple(told for (_, refused), told in sorted(keeping.trouble.items()) if refused == digest),
    )


def _tier(wish: Wish, sites: Iterable[Site], demand: float) -> AdapterTier:
    """What `auto` comes to: merged, shared while anybody has it or asks for it, on demand else."""
    if wish.tier is not AdapterTier.AUTO:
        return wish.tier
    if wish.merged:
        return AdapterTier.MERGED
    shared = wish.pin or wish.least or demand >= 1 or any(site.has(wish.digest) for site in sites)
    return AdapterTier.SHARED if shared else AdapterTier.ON_DEMAND


def _where(sites: Iterable[Site], holds: Callable[[Site], bool]) -> tuple[str, ...]:
    return tuple(site.worker for site in sites if holds(site))


def _is_plain(keeping: Keeping, record: AdapterRecord) -> bool:
    wish = keeping.keeper.wishes.get(record.digest)
    return wish is None or (wish.is_plain and wish.tier is AdapterTier.AUTO)


def _records(registry: AdapterRegistry) -> list[AdapterRecord]:
    return [record for versions in registry.known.values() for record in versions.values()]


def _named(adapter: str, keeping: Keeping, registry: AdapterRegistry) -> list[AdapterRecord]:
    if split_version(adapter)[1] is None:
        return meant_versions(adapter, registry, keeping.aliases)
    try:
        record = resolve(adapter, None, registry.known).record
    except UnknownAdapterError:
        return []
    return [] if record is None else [record]
