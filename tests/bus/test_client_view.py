"""What the yard has, as the client sees it (E2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.bus.records import advert, record

from lorayard import Client, GenerateRequest, Lane, UnreadableRecordError
from lorayard_schemas import headers
from lorayard_schemas.codec import encode
from lorayard_schemas.names import key_token
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def yard(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings) as yard:
        yield yard


async def test_an_empty_yard_has_nothing(yard: Client) -> None:
    assert (await yard.adapters(), await yard.workers()) == ([], [])
    assert (await yard.queue_depth()).total == 0


async def test_adapters_are_listed_by_name_and_version(yard: Client, bus: Bus) -> None:
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    records = [record("acme/tiny/b", "1"), record("acme/tiny/a", "10"), record("acme/tiny/a", "9")]
    for one in records:
        await bucket.put(key_token(f"{one.name}@{one.version}"), encode(one))
    listed = [(one.name, one.version) for one in await yard.adapters()]
    assert listed == [("acme/tiny/a", "9"), ("acme/tiny/a", "10"), ("acme/tiny/b", "1")]


async def test_only_living_workers_are_listed(yard: Client, bus: Bus, wait_until: WaitUntil) -> None:
    """A beat carries a TTL; when it runs out the server leaves a marker without a value."""
    name = bus.subjects.bucket("workers")
    bucket = await bus.js.key_value(name)
    for worker in ("w2", "w1", "gone", "dying"):
        await bucket.put(worker, encode(advert(worker)))
    await bucket.delete("gone")
    beat = {headers.TTL: "1"}
    await bus.js.publish(f"$KV.{name}.dying", encode(advert("dying")), headers=beat)

    async def ended() -> bool:
        found = await bus.js.get_msg(f"KV_{name}", subject=f"$KV.{name}.dying")
        return not found.data

    await wait_until(ended)
    assert [worker.worker for worker in await yard.workers()] == ["w1", "w2"]


async def test_an_unreadable_record_is_named(yard: Client, bus: Bus) -> None:
    bucket = await bus.js.key_value(bus.subjects.bucket("workers"))
    await bucket.put("w1", b"nonsense")
    with pytest.raises(UnreadableRecordError, match="key w1 of bucket"):
        await yard.workers()


async def test_the_queue_is_counted_by_lane_tenant_and_adapter(
    yard: Client, settings: YardSettings, bus: Bus
) -> None:
    requests = [
        GenerateRequest("a", adapter="acme/tiny/a", lane="bulk"),
        GenerateRequest("b", adapter="acme/tiny/a", lane="bulk"),
        GenerateRequest("c"),
    ]
    (await yard.submit_many(requests)).all_handles()
    async with Client(settings=settings, tenant="Other") as other:
        await other.submit("d", lane="urgent")
    address = JobAddress(lane=Lane.BULK, tenant="default", adapter="acme/tiny/a")
    await bus.js.publish(bus.subjects.due_job(address), b"")
    schedule = {
        headers.SCHEDULE: "@at 2099-01-01T00:00:00Z",
        headers.SCHEDULE_TARGET: bus.subjects.due_job(address),
    }
    await bus.js.publish(bus.subjects.delayed_job("default", "j1"), b"", headers=schedule)
    depth = await yard.queue_depth()
    assert depth.unfinished == {
        address: 3,
        JobAddress(lane=Lane.NORMAL, tenant="default", adapter=None): 1,
        JobAddress(lane=Lane.URGENT, tenant="Other", adapter=None): 1,
    }
    assert (depth.delayed, depth.total) == (1, 6)
