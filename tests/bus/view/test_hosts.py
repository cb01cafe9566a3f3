"""Who shows the yard is asked at each look if it does its work; one that hangs is told by others (F4)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from lorayard.view.hosts import SILENT_SECONDS, Hosts
from lorayard.view.reader import SnapshotReader
from lorayard.view.service import snapshots_served
from lorayard_schemas.codec import encode
from lorayard_schemas.health import HealthReport
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

Wait = Callable[..., Awaitable[None]]
DEAF = "it does not hear what changes in yard_keys"


@pytest.fixture
async def reading(settings: YardSettings) -> AsyncIterator[Bus]:
    """Of who looks."""
    async with await connect(settings, name="reader") as bus:
        yield bus


async def test_a_deaf_host_is_trouble_until_it_hears(reading: Bus, bus: Bus, wait_until: Wait) -> None:
    faults, reader = [DEAF], SnapshotReader(reading)

    async def told() -> list[str]:
        shown = await reader.read()
        return [one.text for one in shown.troubles if one.code == "host_deaf"]

    async def is_told() -> bool:
        return await told() != []

    async def is_not() -> bool:
        return await told() == []

    async with snapshots_served(bus, host="gateway", faults=lambda: tuple(faults)):
        await wait_until(is_told)
        (text,) = await told()
        assert text.startswith(f"gateway {os.getpid()} on ")
        assert DEAF in text
        faults.clear()
        await wait_until(is_not)


async def test_one_that_ends_says_so_and_is_not_missed(reading: Bus, bus: Bus, wait_until: Wait) -> None:
    hosts, faults = Hosts(reading), [DEAF]
    async with snapshots_served(bus, host="gateway", faults=lambda: tuple(faults)):
        await hosts.ask(0.0)
        await wait_until(lambda: hosts.unready)
    await wait_until(lambda: not hosts.unready)
    await hosts.ask(10.0)
    await hosts.ask(10.0 + 2 * SILENT_SECONDS)
    assert not hosts.silent


async def test_one_that_answers_no_more_is_silent_until_it_does_and_forgotten_in_the_end(
    reading: Bus, bus: Bus, wait_until: Wait
) -> None:
    hosts, name = Hosts(reading), "gateway 7 on a"
    unready = encode(HealthReport(process=name, ready=False, missing=(DEAF,)))
    asked: list[str] = []
    await bus.nc.hear(bus.subjects.service("health"), lambda message: asked.append(message.reply))
    await bus.nc.flush()

    async def answered() -> None:
        await wait_until(lambda: asked)
        await bus.nc.publish(asked.pop(), unready)

    await hosts.ask(0.0)
    await answered()
    await wait_until(lambda: hosts.unready)
    await hosts.ask(1.0)
    assert not hosts.silent
    await hosts.ask(1.0 + 2 * SILENT_SECONDS)
    assert hosts.silent == (name,)
    assert hosts.unready == (), "one trouble is enough"
    await answered()

    async def is_back() -> bool:
        await hosts.ask(3.0)
        return not hosts.silent

    await wait_until(is_back)
    await hosts.ask(100.0)
    assert not hosts.silent
    assert not hosts.unready, "nobody waits for it any more"
