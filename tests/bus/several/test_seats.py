"""A dispatcher's seat is kept while what comes with it takes long (A3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from nats.js import JetStreamContext
from nats.js.kv import KeyValue
from tests.bus.several.conftest import SeveralYard

from lorayard_dispatcher.seats import Seats
from lorayard_schemas.codec import encode
from lorayard_schemas.seat import SeatHolder, seat_key
from lorayard_shared.bus.connection import connect
from lorayard_shared.process import end_tasks

pytestmark = pytest.mark.bus

RENEWALS = 3


class SlowPost:
    """Takes over for as long as a test wants, and writes down what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.go_on = asyncio.Event()

    async def take_up(self, partition: int) -> None:
        await self.take_over(partition)

    async def take_over(self, partition: int) -> None:
        self.told.append("taking")
        await self.go_on.wait()
        self.told.append("taken")

    async def lay_down(self, partition: int) -> None:
        self.told.append("laid down")

    async def abandon(self, partition: int) -> None:
        self.told.append("abandoned")


@asynccontextmanager
async def seated(several: SeveralYard, post: SlowPost) -> AsyncGenerator[Seats, None]:
    seats = Seats(several.bus, "slow", started_at=time.time(), post=post)
    running = asyncio.create_task(seats.run())
    try:
        await several.wait_until(lambda: "taking" in post.told)
        yield seats
    finally:
        await end_tasks([running])


async def _revision(several: SeveralYard) -> int:
    bucket = await several.bus.js.key_value(several.bus.subjects.bucket("dispatchers"))
    return (await bucket.get(seat_key(0))).revision or 0


async def test_a_seat_is_renewed_while_it_is_taken__a3(several: SeveralYard) -> None:
    """To recall what one before had parked can take longer than a seat lasts."""
    post = SlowPost()
    async with seated(several, post) as seats:
        seen = {await _revision(several)}

        async def renewed() -> bool:
            seen.add(await _revision(several))
            return len(seen) > RENEWALS

        await several.wait_until(renewed)
        assert seats.held == (0,)
        assert seats.sure()
        post.go_on.set()
        await several.wait_until(lambda: "taken" in post.told)
        assert "abandoned" not in post.told


class BrokenBuckets(JetStreamContext):
    """Fails as nobody expects."""

    async def key_value(self, bucket: str) -> KeyValue:
        raise RuntimeError(f"{bucket} broke")


async def test_a_watch_that_fails_as_nobody_expects_ends_the_seats_with_its_error(
    several: SeveralYard,
) -> None:
    """And with them the process: it would look alive, and know of nobody any more."""
    async with await connect(several.yard.settings, name="deaf") as bus:
        bus.js = BrokenBuckets(bus.nc)
        seats = Seats(bus, "deaf", started_at=time.time(), post=SlowPost())
        with pytest.raises(RuntimeError, match="dispatchers broke"):
            async with asyncio.timeout(60.0):
                await seats.run()


async def test_a_seat_that_another_gets_meanwhile_is_not_taken__a3(several: SeveralYard) -> None:
    post = SlowPost()
    async with seated(several, post) as seats:
        bucket = await several.bus.js.key_value(several.bus.subjects.bucket("dispatchers"))
        await bucket.put(seat_key(0), encode(SeatHolder(dispatcher="other", started_at=0.0, since=0.0)))
        await several.wait_until(lambda: seats.held == ())
        await several.wait_until(lambda: post.told[-1] == "abandoned")
        assert "taken" not in post.told
