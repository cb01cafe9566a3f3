"""Streams, buckets and consumers that somebody deletes under a running yard stop nobody for ever (G1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client
from lorayard.errors import YardRefusedError
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import ResultState
from lorayard_shared.bus.connection import ApiError
from lorayard_shared.bus.declare import find_drift, mend
from lorayard_shared.bus.topology import lane_consumer, topology

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


async def test_what_holds_no_work_is_made_again_and_the_rest_is_named__g1(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """The yard goes on by itself; a stream of data is left to its operator, who may have a backup."""
    await yard.worker()
    await yard.dispatcher()
    subjects = yard.bus.subjects
    for kind in ("workers", "dispatchers", "adapters", "placements", "sessions"):
        await yard.bus.api(f"STREAM.DELETE.KV_{subjects.bucket(kind)}")
    await yard.bus.api(f"CONSUMER.DELETE.{subjects.stream('jobs')}.{lane_consumer(Lane.NORMAL)}")
    await yard.bus.api(f"STREAM.DELETE.{subjects.stream('tokens')}")
    await yard.publish(Job(id="after", prompt="say"))
    assert (await yard.result("after")).state is ResultState.SUCCEEDED
    tokens = subjects.stream("tokens")

    async def missing() -> tuple[str, ...]:
        return tuple(drift.name for drift in await find_drift(yard.bus, topology(yard.settings)))

    async def restored() -> bool:
        return await missing() == (tokens,) and (await yard.status()).missing == (tokens,)

    await wait_until(restored)
    await mend(yard.bus, topology(yard.settings))

    async def whole() -> bool:
        return (await yard.status()).missing == ()

    await wait_until(whole)
    await yard.publish(Job(id="last", prompt="say"))
    assert (await yard.result("last")).state is ResultState.SUCCEEDED


async def test_an_adapter_is_still_known_when_its_bucket_was_made_anew__g1(
    yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    """Workers register when they start: the records of those that run would be gone for ever."""
    await yard.worker(adapters_dir=adapters)
    await yard.dispatcher()
    await yard.publish(Job(id="before", prompt="say"), adapter=ADAPTER)
    before = await yard.result("before")
    await yard.bus.api(f"STREAM.DELETE.KV_{yard.bus.subjects.bucket('adapters')}")
    await mend(yard.bus, topology(yard.settings))

    async def registered() -> bool:
        bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("adapters"))
        return (await bucket.status()).values == 1

    await wait_until(registered)
    await yard.publish(Job(id="after", prompt="say"), adapter=ADAPTER)
    after = await yard.result("after")
    assert (after.state, after.text) == (ResultState.SUCCEEDED, before.text)


async def test_a_job_of_a_stream_made_anew_is_not_taken_for_one_of_the_old__g1(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """Both have the same number, and the end of the old one would be that of the new."""
    await yard.dispatcher()
    await yard.worker(rows=2, echo_delay_seconds=2.0)
    await yard.publish(Job(id="old", prompt="say"))

    async def held() -> bool:
        return len((await yard.advert()).load.holding) == 1

    await wait_until(held)
    await yard.bus.api(f"STREAM.DELETE.{yard.bus.subjects.stream('jobs')}")
    await mend(yard.bus, topology(yard.settings))
    assert await yard.publish(Job(id="new", prompt="say")) == 1
    assert (await yard.result("new")).state is ResultState.SUCCEEDED
    assert (await yard.result("old")).state is ResultState.SUCCEEDED


async def test_who_declares_while_the_bucket_is_gone_is_told_so_and_may_try_again__b7(
    yard: Yard, adapters: Path, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    async with Client(settings=yard.settings) as client:
        bucket = f"KV_{yard.bus.subjects.bucket('placements')}"

        refusals: list[str] = []

        async def refused() -> bool:
            with suppress(ApiError):  # it is not there again yet
                await yard.bus.api(f"STREAM.DELETE.{bucket}")
            try:
                await client.place(ADAPTER, pin=True)
            except YardRefusedError as error:
                refusals.append(str(error))
            return bool(refusals)  # else the dispatcher was about to look after it, and made it again

        await wait_until(refused)
        assert "try again" in refusals[0]

        async def declared() -> bool:
            try:
                await client.place(ADAPTER, pin=True)
            except YardRefusedError:
                return False
            return True

        await wait_until(declared)
