"""How soon it is found that somebody is deaf: a dispatcher whose consumer is gone, a watch whose is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import nats.errors
import nats.js.errors

from lorayard_cli.bench.view_sides.truth import GAP_SECONDS, WAIT_SECONDS, until
from lorayard_schemas.codec import decode
from lorayard_schemas.health import HealthReport
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.process import end_tasks

CONSUMER = "dispatch-normal"
BUCKET = "rules"
ANSWER_SECONDS = 1.0


async def seconds_to_deaf(bus: Bus, dispatcher: str) -> float:
    """From the deletion of a consumer until the dispatcher that pulls from it says so, or has made it again;
    leaves it well."""
    subject = bus.subjects.dispatcher_health(dispatcher)

    async def is_well() -> bool:
        return await _missing(bus, subject) == () and await _is_there(bus)

    async def is_found() -> bool:
        missing = await _missing(bus, subject) or ()
        return any(CONSUMER in why for why in missing) or await _is_there(bus)

    await _until(is_well)
    await bus.js.delete_consumer(bus.subjects.stream("jobs"), CONSUMER)
    began = time.monotonic()
    await _until(is_found)
    took = time.monotonic() - began
    await _until(is_well)
    return took


async def _until(so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not await so():  # noqa: ASYNC110  # what is asked sets no event
            await asyncio.sleep(GAP_SECONDS)


async def _is_there(bus: Bus) -> bool:
    try:
        await bus.js.consumer_info(bus.subjects.stream("jobs"), CONSUMER)
    except nats.js.errors.NotFoundError:
        return False
    return True


async def _missing(bus: Bus, subject: str) -> tuple[str, ...] | None:
    """What keeps it from its work; None: it does not answer."""
    try:
        reply = await bus.nc.request(subject, b"", timeout=ANSWER_SECONDS)
    except nats.errors.Error:
        return None
    return decode(HealthReport, reply.data).missing


async def seconds_to_heard(bus: Bus) -> float:
    """From a change that a watch cannot hear until it has found that out, and has the change all the same."""
    name = bus.subjects.bucket(BUCKET)
    told: dict[str, bytes | None] = {}
    watch = BucketWatch(bus, name, told.__setitem__)
    watching = asyncio.create_task(watch.run(), name="bench-watch")
    try:
        await watch.ready.wait()
        bucket = await bus.js.key_value(name)
        await bucket.put("bench", b"before")
        await until(lambda: told.get("bench") == b"before")
        for consumer in await bus.js.consumers_info(f"KV_{name}"):
            await bus.js.delete_consumer(f"KV_{name}", consumer.name)
        await bucket.put("bench", b"after")
        began = time.monotonic()
        await until(lambda: told.get("bench") == b"after")
        return time.monotonic() - began
    finally:
        await end_tasks([watching])
