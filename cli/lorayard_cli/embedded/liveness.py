"""Who is there: the bus, a dispatcher."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import nats.errors

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.status import DispatcherStatus
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.errors import BusUnavailableError
from lorayard_shared.settings import YardSettings

RETRY_SECONDS = 0.05
ANSWER_SECONDS = 1.0


async def connect_when_up(settings: YardSettings, *, name: str) -> Bus:
    """Connect to a server that may still be starting; the caller sets the limit."""
    while True:
        try:
            return await connect(settings, name=name)
        except BusUnavailableError:
            await asyncio.sleep(RETRY_SECONDS)


async def is_listening(port: int) -> bool:
    """Whether somebody takes connections on a port of this machine."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def ask_dispatcher(bus: Bus) -> DispatcherStatus | None:
    """What a dispatcher of this yard says of itself, an active one before others; None when none answers."""
    first = await _ask(bus, bus.subjects.dispatcher("status"))
    if first is None or first.seats:
        return first
    for name in sorted(set(first.seats_elsewhere.values())):
        active = await _ask(bus, bus.subjects.dispatcher_status(name))
        if active is not None:
            return active
    return first


async def _ask(bus: Bus, subject: str) -> DispatcherStatus | None:
    try:
        reply = await bus.nc.request(subject, b"", timeout=ANSWER_SECONDS)
        return decode(DispatcherStatus, reply.data)
    except (nats.errors.Error, TimeoutError, MalformedMessageError):
        return None


def dispatchers_line(status: DispatcherStatus) -> str:
    """Who is active and who stands by, in one line."""
    holders = {**{str(seat): status.dispatcher for seat in status.seats}, **status.seats_elsewhere}
    active = sorted(set(holders.values()))
    several = len(holders) > 1
    parts = [
        f"{name} is active" + (f" for {_partitions(holders, name)}" if several else "") for name in active
    ]
    idle = sorted({status.dispatcher, *status.dispatchers} - set(active))
    if idle:
        parts.append(f"{', '.join(idle)} {'stands' if len(idle) == 1 else 'stand'} by")
    return "; ".join(parts)


def _partitions(holders: Mapping[str, str], name: str) -> str:
    held = sorted((seat for seat, holder in holders.items() if holder == name), key=int)
    return f"partition {held[0]}" if len(held) == 1 else f"partitions {', '.join(held)}"
