"""Queues show from the bus alone, with every other process dead (F1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from tests.bus.conftest import ADAPTER, RunningServer, Yard
from tests.bus.metrics.conftest import Scrape

from lorayard import Client
from lorayard.view.service import SnapshotService, snapshots_served
from lorayard_cli.exporter.process import Exporter, refusal, run_exporter
from lorayard_cli.exporter.sight import UNNAMED, Queue, in_turn, named
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Lane
from lorayard_schemas.snapshot import YardSnapshot
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.process import end_tasks
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
Scrapes = Callable[[int], Awaitable[Scrape]]
Ports = Callable[[], int]
Start = Callable[[YardSettings], Awaitable[int]]


@asynccontextmanager
async def exporting(settings: YardSettings, port: int) -> AsyncGenerator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_exporter(settings.model_copy(update={"metrics_port": port}), stop=stop))
    try:
        yield
    finally:
        stop.set()
        await task


@pytest.fixture
async def start(metrics_port: Ports) -> AsyncIterator[Start]:
    """Start an exporter; its port."""
    async with AsyncExitStack() as held:

        async def run(settings: YardSettings) -> int:
            port = metrics_port()
            await held.enter_async_context(exporting(settings, port))
            return port

        yield run


async def up(scrape: Scrapes, port: int) -> bool:
    try:
        return (await scrape(port))("lorayard_yard_up") == 1
    except OSError:
        return False


async def test_depth_and_age_show_with_nobody_alive__f1(
    yard: Yard, start: Start, scrape: Scrapes, wait_until: WaitUntil
) -> None:
    async with Client(settings=yard.settings, tenant="acme") as client:
        for _ in range(3):
            await client.submit("x", adapter=ADAPTER, lane="bulk")
        await client.submit("x", adapter=ADAPTER)
    async with Client(settings=yard.settings, tenant="other") as client:
        await client.submit("x", adapter=ADAPTER, lane="bulk")
        await client.submit("x")
        await client.submit("x", delay_seconds=3600.0)
    port = await start(yard.settings)
    await wait_until(lambda: up(scrape, port))
    page = await scrape(port)
    assert page("lorayard_yard_queue_jobs", adapter=ADAPTER, lane="bulk") == 4
    assert page("lorayard_yard_queue_jobs", adapter=ADAPTER, lane="normal") == 1
    assert page("lorayard_yard_queue_jobs", adapter=UNNAMED) == 1
    assert page("lorayard_yard_delayed_jobs") == 1
    assert page("lorayard_yard_consumer_lag", consumer="dispatch-bulk") == 4
    assert page("lorayard_yard_consumer_pulls") == 0
    assert page("lorayard_yard_dispatchers") == page("lorayard_yard_workers") == 0
    assert page("lorayard_yard_partitions", state="all") == 1
    assert page("lorayard_yard_partitions", state="held") == 0

    async def aged() -> bool:
        found = await scrape(port)
        bulk = found("lorayard_yard_queue_oldest_seconds", adapter=ADAPTER, lane="bulk")
        return bulk > 0 and found("lorayard_yard_queue_oldest_seconds", adapter=UNNAMED) > 0

    await wait_until(aged)


async def test_depth_is_that_of_the_stream_once_all_is_done__f1(
    yard: Yard, adapters: Path, start: Start, scrape: Scrapes, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    port = await start(yard.settings)
    await wait_until(lambda: up(scrape, port))
    async with Client(settings=yard.settings, tenant="acme") as client:
        await asyncio.gather(*(client.generate("x", adapter=ADAPTER) for _ in range(20)))

    async def at_rest() -> bool:
        page = await scrape(port)
        return (
            page("lorayard_yard_queue_jobs") == await yard.left("jobs") == 0
            and page("lorayard_yard_stream_messages", stream=yard.bus.subjects.stream("results")) == 20
        )

    await wait_until(at_rest)
    page = await scrape(port)
    assert page("lorayard_yard_dispatchers") == page("lorayard_yard_workers") == 1
    assert page("lorayard_yard_partitions", state="held") == 1
    assert page("lorayard_yard_worker_room", worker="w1") > 0


async def test_a_bus_that_is_away_shows_as_down_and_comes_back__g2(
    own_settings: YardSettings,
    own_server: RunningServer,
    start: Start,
    scrape: Scrapes,
    wait_until: WaitUntil,
) -> None:
    own_server.kill()
    port = await start(own_settings)  # it waits for its bus, and says so meanwhile

    async def down() -> bool:
        page = await scrape(port)
        return "lorayard_yard_up" in page.names and page("lorayard_yard_up") == 0

    async def listens() -> bool:
        try:
            return await down()
        except OSError:
            return False

    await wait_until(listens)
    own_server.start()
    await wait_until(lambda: up(scrape, port))
    own_server.kill()
    await wait_until(down)
    own_server.start()
    await wait_until(lambda: up(scrape, port))


async def test_what_cannot_be_read_hides_nothing_else__g3(
    yard: Yard, start: Start, scrape: Scrapes, wait_until: WaitUntil
) -> None:
    """A worker of another release, and a message that somebody put beside the jobs."""
    workers = await yard.bus.js.key_value(yard.bus.subjects.bucket("workers"))
    await workers.put("w1", b"\xc1")
    await yard.bus.js.publish(f"{yard.bus.subjects.prefix}.jobs.normal.acme.%ff", b"x")
    async with Client(settings=yard.settings, tenant="acme") as client:
        await client.submit("x")
    port = await start(yard.settings)
    await wait_until(lambda: up(scrape, port))
    page = await scrape(port)
    assert page("lorayard_yard_workers") == 1
    assert page("lorayard_yard_queue_jobs") == 1


def test_the_longest_queues_keep_their_names() -> None:
    jobs: dict[Queue, int] = {(f"a{number}", Lane.BULK): number for number in range(10)}
    labels = named(jobs, 2)
    assert {adapter for adapter, label in labels.items() if label == adapter} == {"a8", "a9"}
    assert labels["a0"] == "other"


def test_every_queue_has_its_turn_to_be_asked() -> None:
    queues: list[Queue] = [(f"a{number}", Lane.BULK) for number in range(5)]
    first = in_turn(queues, None, 3)
    second = in_turn(queues, first[-1], 3)
    assert set(first) | set(second) == set(queues)
    assert in_turn([], None, 3) == []


async def test_a_bus_in_trouble_as_snapshots_begin_does_not_end_the_exporter__g2(
    settings: YardSettings, bus: Bus, wait_until: WaitUntil
) -> None:
    tries: list[str] = []

    @asynccontextmanager
    async def served(over: Bus, **given: Any) -> AsyncGenerator[SnapshotService]:
        tries.append(given["host"])
        if len(tries) == 1:
            raise nats.errors.TimeoutError
        async with snapshots_served(over, **given) as service:
            yield service

    exporter = Exporter(settings, served=served)
    running = asyncio.create_task(exporter.run())
    try:

        async def is_answered() -> bool:
            assert not running.done(), running.exception()
            try:
                reply = await bus.nc.request(bus.subjects.service("snapshot"), b"", timeout=5)
            except nats.errors.NoRespondersError:
                return False
            return decode(YardSnapshot, reply.data).prefix == settings.prefix

        await wait_until(is_answered)
        assert tries == ["exporter", "exporter"]
    finally:
        await end_tasks([running])


def test_a_refusal_of_the_bus_is_told_as_what_it_is() -> None:
    gone = ApiError(code=10059, description="stream not found")
    assert refusal("yard", gone) == "the bus has no yard yard: stream not found (10059)"
    away = ApiError(code=10008, description="JetStream system temporarily unavailable")
    assert "no yard" not in refusal("yard", away)
    assert "temporarily unavailable (10008)" in refusal("yard", away)
