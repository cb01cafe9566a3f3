"""A job is not refused for an adapter that somebody has made just now, before the watch tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client
from lorayard_schemas.job import Job
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.registry.alias_changes import SplitWish
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.records import Author

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

STABLE = f"{ADAPTER}@stable"
KINDS = ("adapters", "aliases")


@pytest.fixture
async def hears(yard: Yard, adapters: Path, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Once it is set, the dispatcher hears of adapters and aliases; its worker has one."""
    hears = asyncio.Event()
    monkeypatch.setattr("lorayard_shared.bus.late_news.CAUGHT_UP_SECONDS", 600.0)

    class Late(BucketWatch):
        async def run(self) -> None:
            if self._bucket.rpartition("_")[2] in KINDS:
                self.ready.set()
                await hears.wait()
            await super().run()

    monkeypatch.setattr("lorayard_dispatcher.app.BucketWatch", Late)
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    wish = SplitWish(adapter=ADAPTER, alias="stable", weights=(("1", 100.0),))
    await AliasStore(yard.bus).split(wish, {"1": await yard.record(ADAPTER)}, Author(actor="ana"))
    return hears


@pytest.mark.parametrize("named", [ADAPTER, f"{ADAPTER}@1", STABLE])
async def test_a_job_waits_for_the_news_of_what_it_names__d3_d4(
    yard: Yard, hears: asyncio.Event, named: str, wait_until: WaitUntil
) -> None:
    await yard.publish(Job(id="j", prompt="x"), adapter=named)

    async def taken() -> bool:
        return (await yard.status()).taken == 1

    await wait_until(taken)
    assert await yard.stored("j") is None
    hears.set()
    result = await yard.result("j")
    assert result.maker is not None, result.error
    assert (result.maker.adapter, result.maker.version) == (ADAPTER, "1")


async def test_a_question_waits_for_the_news_of_what_it_names__b7(yard: Yard, hears: asyncio.Event) -> None:
    asked = await yard.bus.nc.subscribe(yard.bus.subjects.dispatcher("placements"))
    await yard.bus.nc.flush()
    async with Client(settings=yard.settings) as client:
        asking = asyncio.create_task(client.placements(ADAPTER))
        await asked.next_msg(timeout=30)
        await yard.status()  # which it answers behind a question that waits for nothing
        hears.set()
        assert [one.adapter for one in (await asking).adapters] == [f"{ADAPTER}@1"]


async def test_a_declaration_waits_for_the_news_of_what_it_names__b7(
    yard: Yard, hears: asyncio.Event
) -> None:
    asked = await yard.bus.nc.subscribe(yard.bus.subjects.dispatcher("place"))
    await yard.bus.nc.flush()
    async with Client(settings=yard.settings) as client:
        placing = asyncio.create_task(client.place(ADAPTER, pin=True))
        await asked.next_msg(timeout=30)
        await yard.status()  # which it answers behind a refusal
        hears.set()
        placed = (await placing).placement
    assert placed is not None
    assert placed.pin


async def test_a_flood_of_misspelt_names_costs_few_reads_and_all_are_refused__g3(
    yard: Yard, adapters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    # The longer between two looks, the less it matters how long the yard has to do with them all.
    monkeypatch.setattr("lorayard_shared.bus.late_news.GAP_SECONDS", 1.0)

    async def hear(message: Msg) -> None:
        asked.append(message.subject)

    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    for kind in KINDS:
        await yard.bus.nc.subscribe(f"$JS.API.STREAM.INFO.KV_{yard.bus.subjects.bucket(kind)}", cb=hear)
    await yard.bus.nc.flush()
    jobs = {f"j{number}": f"acme/tiny/n{number % 600}" for number in range(700)}
    await asyncio.gather(*(yard.publish(Job(id=job, prompt="x"), adapter=jobs[job]) for job in jobs))
    for job in jobs:
        error = (await yard.result(job)).error
        assert error is not None
        assert error.code == "unknown_adapter"
    assert 0 < len(asked) <= len(jobs) // 10
