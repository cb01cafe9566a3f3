"""Who is there: the bus, a dispatcher, the workers."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import nats.errors
import nats.js.errors

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
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


async def dispatcher_answers(bus: Bus) -> bool:
    """Whether any dispatcher of this yard is alive."""
    try:
        await bus.nc.request(bus.subjects.dispatcher("status"), b"", timeout=ANSWER_SECONDS)
    except (nats.errors.Error, TimeoutError):
        return False
    return True


async def read_adverts(bus: Bus) -> list[WorkerAdvert]:
    """What every living worker says of itself, by name."""
    adverts: list[WorkerAdvert] = []
    try:
        bucket = await bus.js.key_value(bus.subjects.bucket("workers"))
        keys = await bucket.keys()
    except nats.js.errors.NoKeysError:
        return adverts
    except nats.js.errors.NotFoundError:
        return adverts
    for key in keys:
        # A worker may die between the listing and the reading; its last entry is then a bare marker.
        with suppress(nats.js.errors.KeyNotFoundError, MalformedMessageError):
            entry = await bucket.get(key)
            if entry.value:
                adverts.append(decode(WorkerAdvert, entry.value))
    return sorted(adverts, key=lambda advert: advert.worker)
