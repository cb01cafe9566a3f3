"""Two workers of one name: the later one ends, and says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.errors import SettingsError
from lorayard_shared.settings import YardSettings
from lorayard_workers.app import run_worker
from lorayard_workers.settings import WorkerSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class Running(Protocol):
    """A worker that runs."""

    running: bool

    async def stop(self) -> None: ...


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus
    settings: YardSettings

    async def dispatcher(self, name: str = "d1", **given: object) -> object: ...
    async def worker(self, name: str = "w1", **given: object) -> Running: ...
    async def publish(self, body: Job | bytes, *, lane: Lane = Lane.NORMAL) -> int: ...
    async def result(self, job: str) -> JobResult: ...


def another(yard: Yard, stop: asyncio.Event) -> asyncio.Task[None]:
    """One more worker named w1."""
    values = {**yard.settings.model_dump(), "name": "w1", "engine": "echo"}
    return asyncio.create_task(run_worker(WorkerSettings.model_validate(values), stop=stop))


async def advert(yard: Yard) -> WorkerAdvert:
    bucket = await yard.bus.js.key_value(yard.bus.subjects.bucket("workers"))
    return decode(WorkerAdvert, (await bucket.get("w1")).value or b"")


async def test_the_name_of_a_running_worker_is_refused_and_the_worker_serves_on(yard: Yard) -> None:
    await yard.dispatcher()
    first = await yard.worker()
    epoch = (await advert(yard)).epoch
    with pytest.raises(SettingsError, match=r"LORAYARD_NAME: another worker is named 'w1' \(process \d+"):
        await another(yard, asyncio.Event())
    assert first.running
    assert (await advert(yard)).epoch == epoch
    await yard.publish(Job(id="j", prompt="x"))
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


async def test_of_two_that_start_at_once_one_ends_and_one_serves(yard: Yard) -> None:
    stop = asyncio.Event()
    both = [another(yard, stop), another(yard, stop)]
    done, (left,) = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(SettingsError, match="LORAYARD_NAME"):
        done.pop().result()
    await yard.dispatcher()
    await yard.publish(Job(id="j", prompt="x"))
    assert (await yard.result("j")).state is ResultState.SUCCEEDED
    stop.set()
    await left


async def test_the_successor_of_a_killed_worker_starts_though_its_advert_lives(
    yard: Yard, wait_until: WaitUntil
) -> None:
    first = await yard.worker()
    left_behind = await advert(yard)
    await first.stop()
    key = f"$KV.{yard.bus.subjects.bucket('workers')}.w1"
    await yard.bus.js.publish(key, encode(left_behind))  # without a time to live, so that it cannot run out
    stop = asyncio.Event()
    successor = another(yard, stop)

    async def shows_itself() -> bool:
        assert not successor.done()
        return (await advert(yard)).epoch > left_behind.epoch

    await wait_until(shows_itself)
    stop.set()
    await successor


async def test_a_worker_that_stops_does_not_keep_its_name_from_the_next(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """A rolling restart starts the next while the last one still drains."""
    await yard.dispatcher()
    slow = await yard.worker(echo_delay_seconds=3.0)
    await yard.publish(Job(id="j", prompt="x"))

    async def holds() -> bool:
        return len((await advert(yard)).load.holding) == 1

    await wait_until(holds)
    stopping = asyncio.create_task(slow.stop())
    stop = asyncio.Event()

    async def drains() -> bool:
        return (await advert(yard)).load.draining

    await wait_until(drains)
    successor = another(yard, stop)
    await stopping
    assert not successor.done()
    stop.set()
    await successor
