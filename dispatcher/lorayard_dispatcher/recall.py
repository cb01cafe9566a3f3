"""Have given out anew, at once, what a dispatcher that fell silent had parked.

Else its jobs would come back one lease later. A word about a delivery need not come from its holder, and the
server looks at the message's number alone (measured, 2.15): so what is out and at no worker is given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import NAK
from lorayard_shared.bus.topology import ConsumerDeclaration
from lorayard_shared.value import value

MOST_NUMBERS = 100_000
"""Between the oldest delivery that is out and the newest: a word for each takes most of a second. Where old
jobs are stuck in a longer queue, leases run out by themselves."""

ARRIVAL_SECONDS = 0.5
"""What the server gave out before it answered is here by then."""

BREATH = 1000
"""Words between two chances for the rest of the loop: some milliseconds."""


async def recall(bus: Bus, consumer: ConsumerDeclaration, held: Collection[str]) -> int:
    """Give back the consumer's deliveries, except of these jobs (by key); returns how many numbers it named.

    Raises:
        ApiError: the server's refusal.
        nats.errors.Error: no answer.
    """
    return await _give_back(bus, consumer, await _out(bus, consumer), held)


async def recall_lost(
    bus: Bus, consumer: ConsumerDeclaration, held: Callable[[], Collection[str] | None]
) -> int:
    """The same for what a server gave out as it died, and nobody has received; who holds the others lives.

    `held` is asked a moment after the server: what it has given out by then has come, or is lost. None: it is
    not known, and nothing is given back.

    Raises:
        ApiError: the server's refusal.
        nats.errors.Error: no answer.
    """
    out = await _out(bus, consumer)
    await asyncio.sleep(ARRIVAL_SECONDS)
    kept = held() if out.count else None
    if kept is None:
        return 0
    return await _give_back(bus, consumer, out, kept)


@value
class _Out:
    """What a consumer has given out and nobody has acked."""

    count: int
    first: int
    last: int
    """Numbers in the stream, between which they lie."""
    delivery: int


async def _out(bus: Bus, consumer: ConsumerDeclaration) -> _Out:
    info = await bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    return _Out(
        count=int(info["num_ack_pending"]),
        first=int(info["ack_floor"]["stream_seq"]) + 1,
        last=int(info["delivered"]["stream_seq"]),
        # The delivery's own number is not known; one that was given out passes, and the message's counts.
        delivery=int(info["delivered"]["consumer_seq"]),
    )


async def _give_back(bus: Bus, consumer: ConsumerDeclaration, out: _Out, held: Collection[str]) -> int:
    if not out.count or out.last - out.first >= MOST_NUMBERS:
        return 0
    start = f"{consumer.stream}-"
    kept = {int(key.removeprefix(start)) for key in held if key.startswith(start)}
    named = [number for number in range(out.first, out.last + 1) if number not in kept]
    for count, number in enumerate(named):
        if count % BREATH == 0:
            await asyncio.sleep(0)  # a publish alone lets nobody else run
        await bus.nc.publish(f"$JS.ACK.{consumer.stream}.{consumer.name}.1.{number}.{out.delivery}.0.0", NAK)
    return len(named)
