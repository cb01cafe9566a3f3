"""A client, a folder with two adapters, and what is told of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client
from lorayard_cli.app import run_command
from lorayard_schemas.placement import PlacedAdapter
from lorayard_workers.tiny_model import make_tiny_adapter

WaitUntil = Callable[..., Awaitable[None]]
OTHER = "acme/tiny/other"


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings) as client:
        yield client


@pytest.fixture
def two(adapters: Path) -> Path:
    """A folder with two adapters."""
    make_tiny_adapter(adapters / OTHER / "1", seed=2, targets=("q_proj",))
    return adapters


async def placed(client: Client, adapter: str = ADAPTER) -> PlacedAdapter:
    (one,) = (await client.placements(adapter)).adapters
    return one


async def at_hand(yard: Yard, digest: str, workers: list[str]) -> set[str]:
    """Workers that say they have it in a slot or in host memory."""
    adverts = [await yard.advert(worker) for worker in workers]
    return {
        advert.worker
        for advert in adverts
        if digest in advert.host or digest in {slot.digest for slot in advert.slots}
    }


async def commanded(yard: Yard, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """What a command prints as JSON; it may fail."""
    capsys.readouterr()
    address = ["--url", yard.settings.url, "--prefix", yard.settings.prefix]
    await asyncio.to_thread(run_command, [*arguments, *address, "--json"])
    printed = capsys.readouterr().out.splitlines()
    return dict(json.loads(next(line for line in reversed(printed) if line.startswith("{"))))
