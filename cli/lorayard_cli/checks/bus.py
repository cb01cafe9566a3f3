"""Is the bus what the yard needs: version, JetStream, declarations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import nats.errors

from lorayard_cli.checks.finding import Finding, Level, fail, ok, warn
from lorayard_cli.checks.room import account_room
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.declare import Drift, find_drift, mend
from lorayard_shared.bus.topology import topology
from lorayard_shared.errors import BusDeclarationError

NEEDED_VERSION = (2, 12)
"""2.11 has message TTLs and pinned consumers, 2.12 schedules and atomic batches."""

SHOWN_DRIFTS = 5

OFF = frozenset({10039, 10076})
"""Codes of the server: not for this account, not at all."""

PERMISSIONS = "permissions violation"
"""How the server calls what a user may not do."""


async def check_bus(bus: Bus, *, mending: bool) -> AsyncIterator[Finding]:
    """Everything about the server; `mending` also puts declarations right."""
    found = bus.nc.connected_server_version
    yield _version((found.major, found.minor, found.patch))
    jetstream = await _jetstream(bus)
    yield jetstream
    if jetstream.level is not Level.FAIL:
        yield await _declarations(bus, mending=mending)


def _version(found: tuple[int, int, int]) -> Finding:
    text, needed = (".".join(map(str, version)) for version in (found, NEEDED_VERSION))
    if found < NEEDED_VERSION:
        return fail(
            "server version",
            f"nats-server {text}, at least {needed} is needed",
            "upgrade nats-server, or use the one `lorayard up` starts",
        )
    return ok("server version", f"nats-server {text}")


async def _jetstream(bus: Bus) -> Finding:
    try:
        info = await bus.api("INFO")
    except (ApiError, nats.errors.Error) as error:
        if isinstance(error, nats.errors.NoRespondersError) or _code(error) in OFF:
            return fail(
                "jetstream",
                "JetStream is off on this server or account",
                "start nats-server with -js, or enable JetStream for the account",
            )
        if PERMISSIONS in str(bus.last_error).lower():
            return fail(
                "jetstream",
                f"this user may not ask: {str(bus.last_error).removeprefix('nats: ')}",
                "let it publish to $JS.API.> and subscribe to _INBOX.>, or use another user",
            )
        return fail("jetstream", f"JetStream does not answer ({error})", "look into the server's log")
    return account_room(info)


def _code(error: Exception) -> int | None:
    return error.code if isinstance(error, ApiError) else None


async def _declarations(bus: Bus, *, mending: bool) -> Finding:
    wanted = topology(bus.settings)
    try:
        found = await find_drift(bus, wanted)
        left = await mend(bus, wanted) if found and mending else found
    except (BusDeclarationError, nats.errors.Error) as error:
        return fail("declarations", str(error), "give the account the rights and limits it needs")
    if not found:
        things = len(wanted.streams) + len(wanted.consumers)
        return ok("declarations", f"{things} streams, buckets and consumers as declared")
    if not left:
        return ok("declarations", f"mended: {_list(found)}")
    if mending:
        return fail(
            "declarations",
            f"the server would not change {_list(left)}",
            "delete what is in the way with the nats tool, then run this again",
        )
    missing = any(not drift.key for drift in left)
    report = fail if missing else warn
    return report("declarations", _list(left), "lorayard doctor --mend")


def _list(drifts: tuple[Drift, ...]) -> str:
    shown = "; ".join(str(drift) for drift in drifts[:SHOWN_DRIFTS])
    more = len(drifts) - SHOWN_DRIFTS
    return f"{shown}; and {more} more" if more > 0 else shown
