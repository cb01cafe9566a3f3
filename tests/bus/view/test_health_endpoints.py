"""Health is progress: who cannot do its work says so, and what went deaf is mended (F4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.bus.conftest import Yard

from lorayard_schemas.codec import decode
from lorayard_schemas.health import HealthReport
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.puller import Puller
from lorayard_shared.bus.watch import BucketWatch

pytestmark = pytest.mark.bus

Wait = Callable[..., Awaitable[None]]


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
    told: dict[str, bytes | None] = {}
    watch = BucketWatch(bus, name, told.__setitem__)
    task = asyncio.create_task(watch.run())
    bucket = await bus.js.key_value(name)
    try:
        await watch.ready.wait()
        await bucket.put("a", b"1")
        await wait_until(lambda: told.get("a") == b"1")
        for consumer in await bus.js.consumers_info(f"KV_{name}"):
            await bus.js.delete_consumer(f"KV_{name}", consumer.name)
        began = asyncio.get_running_loop().time()
        await bucket.put("a", b"2")
        await wait_until(lambda: told.get("a") == b"2")
        took = asyncio.get_running_loop().time() - began
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert took < 8.0, "nats-py itself needs 10 s or more"


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
