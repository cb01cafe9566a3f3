"""End a micro service without waiting for a bus that is away."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import nats.errors
from nats.micro.service import Service

from lorayard_shared.bus.connection import Bus

END_SECONDS = 2.0
"""For all endpoints together: each is taken down with a round trip to the server."""


async def end_service(bus: Bus, service: Service) -> None:
    """Take the endpoints down and answer what came before; the closed connection does the rest."""
    if not bus.connected:
        return
    with suppress(nats.errors.Error, TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            await service.stop()
