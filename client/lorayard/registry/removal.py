"""A version leaves the registry for good: nothing may name it, and nobody else's files go with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lorayard.link import Link
from lorayard.registry.holding import find_holders
from lorayard.yard_view import list_adapters, list_placements, measure_queue
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.errors import ReferencedError
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.registry.route_store import RouteStore
from lorayard_shared.registry.semantic_store import SemanticStore
from lorayard_shared.registry.sweeping import Sweeper


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalReport:
    """What a removal did."""

    record: AdapterRecord
    """As it was."""
    freed_bytes: int
    """In the store; what other versions have too stays there."""


async def remove_version(link: Link, record: AdapterRecord, author: Author) -> RemovalReport:
    """Remove the record, then what no other record needs of its files.

    The record goes only if it is still the one that was looked at: a version that is activated meanwhile,
    as it must be before anything can lead to it, stays.

    Raises:
        ReferencedError: something names it, or it serves.
        ContendedError: it was changed meanwhile.
    """
    records = Records(link.bus)
    kept = await records.get(record.name, record.version)
    if references := [*_own(kept.record), *await _references(link, kept.record)]:
        raise ReferencedError(label=record.label, references=references)
    await records.remove(kept, author)
    freed = await Sweeper(link.bus, lambda: list_adapters(link)).sweep(kept.record.files)
    return RemovalReport(record=kept.record, freed_bytes=freed)


def _own(record: AdapterRecord) -> Iterator[str]:
    if record.state is AdapterState.ACTIVE:
        yield "it serves: archive it first"


async def _references(link: Link, record: AdapterRecord) -> list[str]:
    found = [
        f"the alias {alias.spec} is {alias.shares}"
        for alias in await AliasStore(link.bus).list()
        if alias.adapter == record.name and any(arm.version == record.version for arm in alias.arms)
    ]
    past = await RouteStore(link.bus).past()
    rules = past[-1].rules if past else ()
    found += [f"the rule {rule.name} leads to it" for rule in rules if record.label in rule.specs]
    classifier = await SemanticStore(link.bus).now()
    if classifier is not None and classifier.is_on and record.label in classifier.labels:
        found.append(f"the classifier in force (revision {classifier.revision}) chooses it")
    found += [
        f"a placement is declared for it (`lorayard adapters place {record.label} --reset`)"
        for placement in await list_placements(link)
        if placement.adapter == record.label and not placement.asks_nothing
    ]
    queue = await measure_queue(link)
    jobs = sum(count for address, count in queue.unfinished.items() if address.adapter == record.label)
    if jobs:
        several = f"{jobs} jobs that name it are not done"
        found.append("1 job that names it is not done" if jobs == 1 else several)
    return [*found, *await find_holders(link, record)]
