"""How soon: a submit is confirmed, a running job is cancelled, a job for later starts, a token is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final

from lorayard import Client, EventKind, JobHandle
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.scanning import read_page

TENANT: Final = "bench"
SUBMITS: Final = 300
CANCELS: Final = 60
DELAYED: Final = 100
DELAY_SECONDS: Final = 1.0
"""Of the first of them: by then all are submitted."""
SPREAD_SECONDS: Final = 1.0
"""Over which they are due, so that none waits for the one before."""
STREAMS: Final = 16
"""Read at once, in as many tasks of one process."""
STREAMS_EACH: Final = 3
"""One after the other."""
PROMPT: Final = "the quick brown fox jumps over the lazy dog " * 6


async def submit_ms(client: Client) -> list[float]:
    """One job after the other: until the stream has confirmed it."""
    waits: list[float] = []
    for _ in range(SUBMITS):
        started = time.perf_counter()
        await client.submit("x")
        waits.append((time.perf_counter() - started) * 1000)
    return waits


async def schedule_ms(client: Client, bus: Bus) -> list[float]:
    """From when a job for later is due until its result is stored, both by the server's clock."""
    now = time.time()
    dues = [now + DELAY_SECONDS + SPREAD_SECONDS * number / DELAYED for number in range(DELAYED)]
    handles = await asyncio.gather(*(client.submit("x", at=due) for due in dues))
    await asyncio.gather(*(handle.outcome() for handle in handles))
    stored = [await _stored_at(bus, handle) for handle in handles]
    return [(stored_at - due) * 1000 for stored_at, due in zip(stored, dues, strict=True)]


async def _stored_at(bus: Bus, handle: JobHandle) -> float:
    stream, subject = bus.subjects.stream("results"), bus.subjects.result(TENANT, handle.id)
    (message,) = await read_page(bus, stream, subject, 1)
    moment = (message.headers or {})["Nats-Time-Stamp"]
    return datetime.fromisoformat(moment[:26].rstrip("Z") + "+00:00").timestamp()


async def cancel_ms(client: Client) -> list[float]:
    """Of jobs that run, one after the other: from the call until the cancelled result is in hand."""
    waits: list[float] = []
    for _ in range(CANCELS):
        handle = await running_job(client)
        started = time.perf_counter()
        await handle.cancel()
        await handle.outcome()
        waits.append((time.perf_counter() - started) * 1000)
    return waits


async def running_job(client: Client) -> JobHandle:
    """One that a worker has begun."""
    handle = await client.submit(PROMPT, stream=True)
    async with aclosing(handle.events()) as events:
        async for event in events:
            if event.kind is EventKind.STARTED:
                break
    return handle


async def stream_ms(client: Client) -> list[float]:
    """From a worker's publish until the event is with its reader, several streams at once."""
    each = await asyncio.gather(*(_read_streams(client) for _ in range(STREAMS)))
    return [lag for lags in each for lag in lags]


async def _read_streams(client: Client) -> Sequence[float]:
    lags: list[float] = []
    for _ in range(STREAMS_EACH):
        handle = await client.submit(PROMPT, stream=True)
        lags += [
            (time.time() - event.at) * 1000
            async for event in handle.events()
            if event.kind is EventKind.TOKENS
        ]
    return lags
