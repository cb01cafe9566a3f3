"""Take a job out that waits for its time."""

from __future__ import annotations

import asyncio

import nats.errors

from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.logs import Event, process_logger

TRIES = 5
PAUSE_SECONDS = 0.5


async def unschedule(bus: Bus, tenant: str, job: str) -> bool:
    """Withdraw a job's schedule; whether there was one, which had not come due.

    Raises:
        nats.errors.Error, ApiError: the bus did not do it, several times.
    """
    verb = f"STREAM.PURGE.{bus.subjects.stream('delayed')}"
    body = {"filter": bus.subjects.delayed_job(tenant, job)}
    for left in reversed(range(TRIES)):
        try:
            return bool((await bus.api(verb, body)).get("purged"))
        except (nats.errors.Error, ApiError) as error:
            if not left:
                raise
            process_logger().warning(Event.BUS_FAILED, job=job, error=str(error) or type(error).__name__)
        await asyncio.sleep(PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")
