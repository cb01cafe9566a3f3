"""Is the bus what the yard needs: version, JetStream, declarations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import nats.errors

from lorayard_cli.checks.finding import Finding, Level, fail, ok, warn
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.declare import Drift, find_drift, mend
from lorayard_shared.bus.topology import topology
from lorayard_shared.errors import BusDeclarationError

NEEDED_VERSION = (2, 12)
"""2.11 has message TTLs and pinned consumers, 2.12 schedules and atomic batches."""

SHOWN_DRIFTS = 5

NEARLY_FULL = 0.8
LIMITS = {"jobs": "LORAYARD_JOBS_MAX_BYTES", "results": "LORAYARD_RESULTS_MAX_BYTES"}
"""Streams that refuse when they are full, and the setting of how full."""


async def check_bus(bus: Bus, *, mending: bool) -> AsyncIterator[Finding]:
    """Everything about the server; `mending` also puts declarations right."""
    found = bus.nc.connected_server_version
    yield _version((found.major, found.minor, found.patch))
    jetstream = await _jetstream(bus)
    yield jetstream
    if jetstream.level is not Level.FAIL:
        yield await _declarations(bus, mending=mending)
        for kind, limit in LIMITS.items():
            yield await _fill(bus, kind, limit)


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
    except nats.errors.NoRespondersError:
        return fail(
            "jetstream",
            "JetStream is off on this server or account",
            "start nats-server with -js, or enable JetStream for the account",
        )
    except (ApiError, nats.errors.Error) as error:
        return fail("jetstream", f"JetStream does not answer ({error})", "look into the server's log")
    used = int(info.get("storage", 0)) / 1e6
    return ok("jetstream", f"on, {info.get('streams', 0)} streams, {used:.1f} MB stored")


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


async def _fill(bus: Bus, kind: str, limit: str) -> Finding:
    stream = bus.subjects.stream(kind)
    try:
        info = await bus.api(f"STREAM.INFO.{stream}")
    except (ApiError, nats.errors.Error) as error:
        return fail(f"room for {kind}", f"{stream} does not answer ({error})", "lorayard doctor --mend")
    used, most = int(info["state"]["bytes"]), int(info["config"]["max_bytes"])
    share = used / most if most > 0 else 0.0
    message = f"{stream} holds {used / 1e6:.1f} MB, {100 * share:.0f} % of its limit"
    if share >= NEARLY_FULL:
        return warn(f"room for {kind}", message, f"raise {limit}, then lorayard doctor --mend with it set")
    return ok(f"room for {kind}", message)


def _list(drifts: tuple[Drift, ...]) -> str:
    shown = "; ".join(str(drift) for drift in drifts[:SHOWN_DRIFTS])
    more = len(drifts) - SHOWN_DRIFTS
    return f"{shown}; and {more} more" if more > 0 else shown
