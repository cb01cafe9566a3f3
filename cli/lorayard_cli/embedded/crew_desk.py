"""What a running `lorayard up` answers on the bus: orders about its workers, and how the yard looks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import nats.errors
from nats.aio.msg import Msg

from lorayard.view.service import snapshots_served
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.crew import ChangeCrew, CrewReply
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import connect
from lorayard_shared.errors import BusUnavailableError
from lorayard_shared.settings import YardSettings

RETRY_SECONDS = 1.0


class Crew(Protocol):
    """The workers of a yard."""

    @property
    def worker_names(self) -> tuple[str, ...]:
        """Those that are kept running."""
        ...

    def add_workers(self, count: int) -> tuple[str, ...]:
        """Start so many more; their names."""
        ...

    def remove_workers(self, names: Sequence[str]) -> None:
        """Have these drain and end, for good."""
        ...


async def serve_crew(settings: YardSettings, crew: Crew) -> None:
    """Answer until cancelled, also over restarts of the bus."""

    async def on_order(message: Msg) -> None:
        with suppress(nats.errors.Error):
            await message.respond(encode(_carry_out(message.data, crew)))

    while True:
        with suppress(BusUnavailableError, nats.errors.Error):
            async with await connect(settings, name="supervisor") as bus:
                await bus.nc.subscribe(bus.subjects.crew, cb=on_order)
                async with snapshots_served(bus, host="up"):
                    await asyncio.Event().wait()
        await asyncio.sleep(RETRY_SECONDS)  # it had just crashed


def _carry_out(body: bytes, crew: Crew) -> CrewReply:
    try:
        order = decode(ChangeCrew, body)
    except MalformedMessageError as error:
        return CrewReply(workers=crew.worker_names, refusal=str(error))
    strangers = [name for name in order.remove if name not in crew.worker_names]
    if strangers:
        there = ", ".join(crew.worker_names) or "none"
        why = f"{', '.join(strangers)}: no worker that `lorayard up` runs here, which are: {there}"
        return CrewReply(workers=crew.worker_names, refusal=why)
    crew.remove_workers(order.remove)
    added = crew.add_workers(order.add)
    return CrewReply(added=added, removing=order.remove, workers=crew.worker_names)
