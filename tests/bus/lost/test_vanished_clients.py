"""A client that is killed in the middle of its work leaves its jobs, and nothing else on the bus (G1, G2)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import pytest
from tests.bus.conftest import Yard

from lorayard_shared.bus.connection import Bus

pytestmark = [pytest.mark.bus, pytest.mark.timeout(120)]

WORK = {
    "publishing": """
        while True:
            await yard.submit_many([GenerateRequest("hello")] * 50)
            await asyncio.sleep(0.1)
    """,
    "streaming": """
        while True:
            handles = [await yard.submit("hello", stream=True) for _ in range(20)]
            await asyncio.gather(*(read(handle) for handle in handles))
    """,
    "mapping": """
        async for item in yard.map(itertools.repeat("hello"), concurrency=50):
            pass
    """,
    "listing": """
        while True:
            await asyncio.gather(yard.workers(), yard.control.list(), yard.adapters())
    """,
}

PROGRAM = """
import asyncio, itertools
from lorayard import Client, GenerateRequest

async def read(handle):
    async for _ in handle.events():
        pass

async def main():
    async with Client(tenant="acme") as yard:
        print("open", flush=True)
        {work}

asyncio.run(main())
"""


async def consumers(bus: Bus) -> dict[str, int]:
    """How many each stream has: what a client leaves behind would be among them."""
    found = await bus.api("STREAM.LIST", {"subject": ""})
    prefix = bus.subjects.prefix
    names = [stream["config"]["name"] for stream in found["streams"]]
    ours = [name for name in names if f"{prefix}_" in name or name.startswith(prefix.upper())]
    infos = [await bus.api(f"STREAM.INFO.{name}") for name in ours]
    return {info["config"]["name"]: int(info["state"]["consumer_count"]) for info in infos}


@pytest.mark.parametrize("work", WORK)
async def test_a_client_that_is_killed_leaves_only_its_jobs__g1(
    yard: Yard, wait_until: Callable[..., Awaitable[None]], work: str
) -> None:
    await yard.dispatcher()
    await yard.worker()
    await wait_until(lambda: has_settled(yard.bus))
    before = await consumers(yard.bus)
    assert before
    environment = {"LORAYARD_URL": yard.settings.url, "LORAYARD_PREFIX": yard.settings.prefix}
    killed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM.format(work=WORK[work].strip()),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    assert killed.stdout is not None
    try:
        assert await killed.stdout.readline() == b"open\n"
        if work != "listing":
            await wait_until(lambda: has_results(yard), seconds=60)
    finally:
        killed.kill()
        await killed.wait()
    await wait_until(lambda: has_answered_all(yard), seconds=60)
    await wait_until(lambda: is_as_before(yard.bus, before), seconds=60)


async def has_settled(bus: Bus) -> bool:
    """Listings that were read at the start are forgotten in some seconds."""
    first = await consumers(bus)
    await bus.api("INFO")
    return first == await consumers(bus)


async def has_results(yard: Yard) -> bool:
    return await yard.left("results") > 50


async def has_answered_all(yard: Yard) -> bool:
    return await yard.left("jobs") == 0


async def is_as_before(bus: Bus, before: dict[str, int]) -> bool:
    now = await consumers(bus)
    return all(now[name] <= before[name] for name in before)
