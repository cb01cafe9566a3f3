"""Who is there: the bus, a dispatcher."""

from __future__ import annotations

import asyncio

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


async def ask_dispatcher(bus: Bus) -> DispatcherStatus | None:
    """What a dispatcher of this yard says of itself; None when none answers."""
    try:
        reply = await bus.nc.request(bus.subjects.dispatcher("status"), b"", timeout=ANSWER_SECONDS)
        return decode(DispatcherStatus, reply.data)
    except (nats.errors.Error, TimeoutError, MalformedMessageError):
        return None
