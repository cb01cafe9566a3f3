"""`/ui/api/adapter`: one adapter: its versions, aliases with what they were, and who changed what."""

from __future__ import annotations

from typing import Any

import nats.errors
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from lorayard_gateway.gateway import Gateway
from lorayard_gateway.page.errors import tenant_refused
from lorayard_gateway.page.replies import page_reply
from lorayard_gateway.page.viewer import Viewer
from lorayard_gateway.queries import Query, read_query
from lorayard_schemas.adapter import AdapterRecord
from lorayard_schemas.alias import AliasRecord
from lorayard_schemas.audit import RegistryChange
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.scanning import walk
from lorayard_shared.registry.alias_store import AliasStore

CHANGES_SHOWN = 100
"""The newest."""

CHANGES_READ = 2000
"""Of one adapter: who changes it more often has a log of his own."""

Row = dict[str, Any]


class AdapterQuery(Query):
    """Which one."""

    name: str = Field(min_length=1, max_length=256)


async def show_adapter(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
    """All that is registered of it.

    Raises:
        ApiError: there is none, or not for this viewer.
    """
    name = read_query(AdapterQuery, request.query_params).name
    versions = gateway.catalogue.versions(name, viewer.scope)
    if not versions:
        raise tenant_refused()
    gateway.check_bus()
    public, shown = viewer.scope is not None, frozenset(one.version for one in versions)
    aliases = gateway.catalogue.aliases(name)
    told = {
        "name": name,
        "versions": [_version(one, public=public) for one in versions],
        "aliases": [_seen(one, shown) if public else await _alias(gateway.bus, one) for one in aliases],
        "changes": [] if public else await _changes(gateway.bus, name),
    }
    return page_reply(told)


async def show_past(gateway: Gateway, request: Request, viewer: Viewer) -> Response:
    """What it was asked for in the last minutes, by all tenants.

    Raises:
        ApiError: that is not for this viewer.
    """
    name = read_query(AdapterQuery, request.query_params).name
    if viewer.scope is not None:
        raise tenant_refused()
    return page_reply({"points": gateway.feed.pasts.of(name)})


def _version(record: AdapterRecord, *, public: bool) -> Row:
    row = record.model_dump(mode="json", exclude={"v", "files", "prompt_template"})
    if public:
        del row["tenants"], row["registered_by"], row["changed_by"], row["change"]
    return row


async def _alias(bus: Bus, now: AliasRecord) -> Row:
    past = await AliasStore(bus).past(now.adapter, now.alias)
    return {"now": _told(now), "past": [_told(one) for one in reversed(past)]}


def _seen(record: AliasRecord, versions: frozenset[str]) -> Row:
    """As a tenant sees it: versions that are shown, and nothing of who changed it."""
    row = record.model_dump(mode="json", exclude={"v", "by", "why"})
    row["arms"] = [arm for arm in row["arms"] if arm["version"] in versions]
    row["stopped"] = [version for version in row["stopped"] if version in versions]
    return row


def _told(record: AliasRecord) -> Row:
    return record.model_dump(mode="json", exclude={"v"})


async def _changes(bus: Bus, name: str) -> list[Row]:
    """Of its versions, aliases and placement, the newest first."""
    found: list[RegistryChange] = []
    stream = bus.subjects.stream("audit")
    for what in ("adapters", "aliases", "placements"):
        subject, seen = bus.subjects.registry_audit(what, name), 0
        try:
            async for page in walk(bus, stream, subject):
                found += [change for one in page if (change := _change(one.body)) is not None]
                seen += len(page)
                if seen >= CHANGES_READ:
                    break
        except nats.errors.NoRespondersError:
            break  # no audit is kept
    found.sort(key=lambda one: one.at, reverse=True)
    return [one.model_dump(mode="json", exclude={"v"}) for one in found[:CHANGES_SHOWN]]


def _change(body: bytes) -> RegistryChange | None:
    try:
        return decode(RegistryChange, body)
    except MalformedMessageError:
        return None
