"""A version serves no more: nothing may lead to it, before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorayard.yard_view import list_adapters
from lorayard_schemas.adapter import AdapterRecord, AdapterState
from lorayard_schemas.alias import AliasRecord
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.errors import VersionNamedError
from lorayard_shared.registry.records import Author, Records
from lorayard_shared.registry.route_store import RouteStore
from lorayard_shared.registry.semantic_store import SemanticStore

if TYPE_CHECKING:
    from lorayard.link import Link


async def archive_version(link: Link, record: AdapterRecord, author: Author) -> AdapterRecord:
    """Archive a version that no alias, no rule and no classifier leads to.

    It looks once more after the change, as whoever changes an alias or the rules looks at the versions after
    theirs: of two changes that cross at least one sees the other, and takes its own back. Where both do, both
    are refused and nothing has changed.

    Raises:
        VersionNamedError: something leads to it, since just now perhaps; it is what it was.
        TransitionError, VersionTakenError, VersionUnknownError, ContendedError: as `Records.move`.
    """
    records = Records(link.bus)
    if leading := await _leading(link, record):
        raise VersionNamedError(label=record.label, by=leading)
    moved = await records.move(
        record.name, record.version, AdapterState.ARCHIVED, author, verb="archive", digest=record.digest
    )
    if record.state is AdapterState.ACTIVE and (leading := await _leading(link, record)):
        back = Author(actor=author.actor, reason=f"{', '.join(leading)} came to lead to it")
        await records.move(
            record.name, record.version, AdapterState.ACTIVE, back, verb="undo", digest=record.digest
        )
        raise VersionNamedError(label=record.label, by=leading)
    return moved.record


async def _leading(link: Link, record: AdapterRecord) -> list[str]:
    """What leads requests to this very version."""
    aliases = [
        f"alias {alias.spec}"
        for alias in await AliasStore(link.bus).list()
        if alias.adapter == record.name and _leads(alias, record.version)
    ]
    past = await RouteStore(link.bus).past()
    rules = past[-1].rules if past else ()
    named = [f"rule {rule.name}" for rule in rules if record.label in rule.specs]
    return [*aliases, *named, *await _chosen(link, record)]


async def _chosen(link: Link, record: AdapterRecord) -> list[str]:
    """The classifier in force, if it chooses this version, or its name and no other version serves.

    Of an alias that it chooses the alias itself tells.
    """
    now = await SemanticStore(link.bus).now()
    if now is None or not now.is_on:
        return []
    if record.label in now.labels or (record.name in now.labels and await _is_last(link, record)):
        return [f"the classifier in force (revision {now.revision})"]
    return []


async def _is_last(link: Link, record: AdapterRecord) -> bool:
    """Whether its name stands for nothing without it."""
    return record.state is AdapterState.ACTIVE and not any(
        other.name == record.name and other.label != record.label and other.state is AdapterState.ACTIVE
        for other in await list_adapters(link)
    )


def _leads(alias: AliasRecord, version: str) -> bool:
    """Now, or once its guard gives the control what it takes away from another."""
    return alias.weight(version) > 0 or (alias.guard is not None and alias.control == version)
