"""What `client.snapshot()` shows is what the bus holds, with every process of ours dead (F3)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.bus.records import record

from lorayard import Client, GenerateRequest
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Lane
from lorayard_shared.bus.connection import Bus
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

SUMMARY = "acme/tiny/summary"


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings) as client:
        yield client


async def test_depths_are_exact_with_every_process_dead__f3(client: Client, bus: Bus) -> None:
    await bus.js.publish(
        f"$KV.{bus.subjects.bucket('adapters')}.{record(SUMMARY, '1').key}", encode(record(SUMMARY, "1"))
    )
    requests = [GenerateRequest("a", adapter=SUMMARY, lane="bulk")] * 3 + [GenerateRequest("b")]
    (await client.submit_many(requests)).all_handles()
    await client.submit("later", delay_seconds=3600)
    shown = await client.snapshot()
    assert (shown.overview.unfinished, shown.overview.delayed) == (4, 1)
    assert shown.overview.by_lane == {Lane.BULK: 3, Lane.NORMAL: 1}
    assert [(row.adapter, row.jobs) for row in shown.queues] == [(SUMMARY, 3), (None, 1)]
    assert all(row.oldest_seconds is not None for row in shown.queues)
    assert [(row.name, row.waiting) for row in shown.adapters] == [(SUMMARY, 3)]
    codes = {trouble.code for trouble in shown.troubles}
    assert {"no_dispatcher", "no_worker"} <= codes
