"""A process that is told to stop ends: at any moment of its start, and while the bus is away."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from tests.bus.conftest import RunningServer

from lorayard_cli.embedded.bus_server import prepare_bus_server
from lorayard_dispatcher.app import run_dispatcher
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_schemas.job import Job
from lorayard_shared.bus.connection import connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings
from lorayard_workers.app import run_worker
from lorayard_workers.equipment import Equipment
from lorayard_workers.settings import WorkerSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
Run = Callable[[YardSettings, asyncio.Event], Awaitable[None]]

MOMENTS = (0, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
"""Turns of the loop; a start takes some hundreds."""


class Running(Protocol):
    """A dispatcher or worker that runs."""

    async def stop(self) -> None: ...


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    async def dispatcher(self, name: str = "d1", **given: object) -> Running: ...
    async def worker(self, name: str = "w1", **given: object) -> Running: ...
    async def publish(self, body: Job | bytes) -> int: ...


async def dispatcher(settings: YardSettings, stop: asyncio.Event) -> None:
    await run_dispatcher(DispatcherSettings.model_validate({**settings.model_dump(), "name": "d"}), stop=stop)


async def worker(settings: YardSettings, stop: asyncio.Event) -> None:
    values = {**settings.model_dump(), "name": "w", "engine": "echo"}
    await run_worker(WorkerSettings.model_validate(values), stop=stop)


@pytest.fixture
async def mute_server() -> AsyncIterator[str]:
    """An address where somebody listens and never says a word."""
    open_ended: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: open_ended.append(writer), "127.0.0.1", 0)
    yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    for writer in open_ended:
        writer.close()
    server.close()
    await server.wait_closed()


@pytest.fixture
def deaf_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server on which nobody may watch the workers, so that no dispatcher ever knows them."""
    server = prepare_bus_server(tmp_path / "bus")
    config = json.loads(server.config.read_text())
    consumer = "$JS.API.CONSUMER.CREATE.KV_own_workers"
    denied = {"publish": {"deny": [consumer, f"{consumer}.>"]}}
    user = {"user": "me", "password": "secret", "permissions": denied}
    server.config.write_text(json.dumps({**config, "authorization": {"users": [user]}}))
    running = RunningServer(server, tmp_path / "server.log")
    running.start()
    yield running
    running.kill()


@pytest.mark.parametrize("run", [dispatcher, worker])
async def test_a_stop_at_any_moment_of_the_start_ends_it(settings: YardSettings, run: Run) -> None:
    for turns in MOMENTS:
        before, stop = asyncio.all_tasks(), asyncio.Event()
        running = asyncio.ensure_future(run(settings, stop))
        for _ in range(turns):
            await asyncio.sleep(0)
        stop.set()
        await running
        assert asyncio.all_tasks() <= before


@pytest.mark.parametrize("run", [dispatcher, worker])
async def test_a_stop_ends_a_start_that_waits_for_a_bus_that_says_nothing(mute_server: str, run: Run) -> None:
    stop = asyncio.Event()
    settings = YardSettings(url=mute_server, connect_timeout_seconds=600)
    running = asyncio.ensure_future(run(settings, stop))
    await asyncio.sleep(0)
    stop.set()
    await running


async def test_a_stop_ends_a_dispatcher_that_still_waits_for_its_first_listing(
    deaf_server: RunningServer, wait_until: WaitUntil
) -> None:
    url = deaf_server.url.replace("nats://", "nats://me:secret@")
    settings, stop = YardSettings(url=url, prefix="own"), asyncio.Event()
    async with await connect(settings, name="declare") as bus:
        await declare(bus, topology(settings))
    running = asyncio.ensure_future(dispatcher(settings, stop))

    def waits_for_listing() -> bool:
        assert not running.done()
        return any(task.get_name() == "first-listing" for task in asyncio.all_tasks())

    await wait_until(waits_for_listing)
    stop.set()
    await running


async def test_a_stop_does_not_wait_for_a_model_that_loads(
    settings: YardSettings, wait_until: WaitUntil
) -> None:
    loading, loaded, stop = threading.Event(), threading.Event(), asyncio.Event()

    def load(_: WorkerSettings) -> Equipment:
        loading.set()
        loaded.wait()
        raise AssertionError("nobody waits for this")

    values = {**settings.model_dump(), "name": "w", "engine": "echo"}
    running = asyncio.create_task(run_worker(WorkerSettings.model_validate(values), stop=stop, equip=load))
    try:
        await wait_until(loading.is_set)
        stop.set()
        await running
    finally:
        loaded.set()


async def test_dispatcher_and_worker_stop_while_the_bus_is_away(
    own_server: RunningServer, own_yard: Yard
) -> None:
    """Without an error: what they held comes back by itself once the bus is there again."""
    started = [await own_yard.dispatcher(), await own_yard.worker(echo_delay_seconds=30.0, drain_seconds=0.1)]
    await own_yard.publish(Job(id="j", prompt="x"))
    own_server.kill()
    for process in started:
        await process.stop()
