"""Have given out anew, at once, what a dispatcher that fell silent had parked.

Else its jobs would come back one lease later. A word about a delivery need not come from its holder, and the
server looks at the message's number alone (measured, 2.15): so what is out and at no worker is given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import NAK
from lorayard_shared.bus.topology import ConsumerDeclaration

MOST_NUMBERS = 100_000
"""Between the oldest delivery that is out and the newest: a word for each takes most of a second. Where old
jobs are stuck in a longer queue, leases run out by themselves."""

BREATH = 1000
"""Words between two chances for the rest of the loop: some milliseconds."""


async def recall(bus: Bus, consumer: ConsumerDeclaration, held: Collection[str]) -> int:
    """Give back the consumer's deliveries, except of these jobs (by key); returns how many numbers it named.

    Raises:
        ApiError: the server's refusal.
        nats.errors.Error: no answer.
    """
    info = await bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    first, last = int(info["ack_floor"]["stream_seq"]) + 1, int(info["delivered"]["stream_seq"])
    if not info["num_ack_pending"] or last - first >= MOST_NUMBERS:
        return 0
    start = f"{consumer.stream}-"
    kept = {int(key.removeprefix(start)) for key in held if key.startswith(start)}
    # The delivery's own number is not known; one that was given out passes, and the message's counts.
    delivery = int(info["delivered"]["consumer_seq"])
    named = [number for number in range(first, last + 1) if number not in kept]
    for count, number in enumerate(named):
        if count % BREATH == 0:
            await asyncio.sleep(0)  # a publish alone lets nobody else run
        await bus.nc.publish(f"$JS.ACK.{consumer.stream}.{consumer.name}.1.{number}.{delivery}.0.0", NAK)
    return len(named)
