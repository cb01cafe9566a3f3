"""Health is progress: who cannot do its work says so, and what went deaf is mended (F4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.bus.conftest import Yard

from lorayard import Client
from lorayard_schemas.codec import decode
from lorayard_schemas.health import HealthReport
from lorayard_schemas.job import Job
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.puller import Puller
from lorayard_shared.bus.watch import BucketWatch

pytestmark = pytest.mark.bus

Wait = Callable[..., Awaitable[None]]


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings) as client:
        yield client


async def health(bus: Bus, subject: str) -> HealthReport:
    return decode(HealthReport, (await bus.nc.request(subject, b"", timeout=5)).data)


async def test_a_worker_that_is_paused_is_not_ready_and_a_dispatcher_is(yard: Yard, wait_until: Wait) -> None:
    subjects = yard.bus.subjects
    await yard.dispatcher()
    await yard.worker()

    async def is_ready(subject: str) -> bool:
        return (await health(yard.bus, subject)).ready

    await wait_until(lambda: is_ready(subjects.dispatcher_health("d1")))
    worker = subjects.control("w1", "health")
    assert await health(yard.bus, worker) == HealthReport(process="w1", ready=True)
    await yard.bus.js.publish(
        f"$KV.{subjects.bucket('control')}.pause.worker.n=w1", b'{"kind": "worker", "name": "w1", "why": "w"}'
    )

    async def is_paused() -> bool:
        return (await health(yard.bus, worker)).missing == ("somebody has paused it",)

    await wait_until(is_paused)


async def test_a_watch_whose_consumer_is_gone_hears_again(bus: Bus, wait_until: Wait) -> None:
    name = bus.subjects.bucket("rules")
    told: list[tuple[str, bytes | None]] = []
    watch = BucketWatch(bus, name, lambda key, value: told.append((key, value)))
    task = asyncio.create_task(watch.run())
    bucket = await bus.js.key_value(name)
    try:
        await watch.ready.wait()
        await bucket.put("other", b"1")
        await bucket.put("a", b"1")
        await wait_until(lambda: ("a", b"1") in told)
        for consumer in await bus.js.consumers_info(f"KV_{name}"):
            await bus.js.delete_consumer(f"KV_{name}", consumer.name)
        await bucket.put("a", b"2")
        await wait_until(lambda: ("a", b"2") in told)
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert told.count(("other", b"1")) == 2, "listed anew by us: nats-py goes on behind what it knows"


async def test_a_pull_from_a_consumer_that_is_gone_is_deaf(bus: Bus, wait_until: Wait) -> None:
    stream = bus.subjects.stream("jobs")
    puller = Puller(
        bus,
        stream=stream,
        consumer="dispatch-normal",
        group="dispatch",
        room=lambda: 1,
        on_message=lambda _message: None,
    )
    task = asyncio.create_task(puller.run())
    try:
        await wait_until(lambda: puller.last_answer > 0)
        assert not puller.deaf
        await bus.js.delete_consumer(stream, "dispatch-normal")
        await wait_until(lambda: puller.deaf)
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_an_engine_that_is_held_at_one_step_is_told_by_health_and_snapshot(
    yard: Yard, client: Client, wait_until: Wait
) -> None:
    held = "what the engine hangs on"
    await yard.dispatcher()
    await yard.worker("w1", echo_hangs_on=held)
    await yard.publish(Job(id="j", prompt=held))
    told: list[tuple[str, ...]] = []

    async def is_told() -> bool:
        told.append((await health(yard.bus, yard.bus.subjects.control("w1", "health"))).missing)
        return any("still at" in why for why in told[-1])

    await wait_until(is_told)
    await wait_until(lambda: is_trouble(client, "worker_stuck", "w1"))
    assert told[0] == (), "before it had a job it was well"


async def test_a_dispatcher_whose_consumer_is_gone_says_so_and_it_is_made_again(
    yard: Yard, client: Client, wait_until: Wait
) -> None:
    await yard.dispatcher()
    subject, stream = yard.bus.subjects.dispatcher_health("d1"), yard.bus.subjects.stream("jobs")

    async def is_ready() -> bool:
        return (await health(yard.bus, subject)).ready

    async def is_found() -> bool:
        """It says so, unless it has mended it before 1.5 s were over."""
        there = [one.name for one in await yard.bus.js.consumers_info(stream)]
        return "dispatch-normal" in there or not await is_ready()

    await wait_until(is_ready)
    await yard.bus.js.delete_consumer(stream, "dispatch-normal")
    assert await is_trouble(client, "stream_missing", f"{stream}/dispatch-normal"), "at the next look"
    await wait_until(is_found)
    await wait_until(is_ready)
    assert not await is_trouble(client, "stream_missing", f"{stream}/dispatch-normal")


async def is_trouble(client: Client, code: str, about: str) -> bool:
    shown = await client.snapshot(older_seconds=0)
    return (code, about) in {(one.code, one.about) for one in shown.troubles}
