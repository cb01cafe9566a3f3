"""What `client.snapshot()` shows is what the bus holds, with every process of ours dead (F3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.bus.records import advert, record

from lorayard import Client, GenerateRequest, InvalidRequestError, YardNotReadyError
from lorayard.view.bucket_copy import BucketCopy, Written
from lorayard.view.fleet import REMEMBERED_SECONDS
from lorayard.view.reader import SnapshotReader
from lorayard_schemas import headers
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Lane
from lorayard_schemas.snapshot import WorkerRow
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare, find_drift, mend
from lorayard_shared.bus.topology import NANOSECONDS, topology
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

MARKER = "Nats-Marker-Reason"

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


async def test_jobs_that_are_tried_again_have_an_age_too(client: Client, bus: Bus) -> None:
    address = JobAddress(lane=Lane.BULK, tenant="acme", adapter=SUMMARY)
    await bus.js.publish(bus.subjects.due_job(address), b"a job")
    (row,) = (await client.snapshot()).queues
    assert (row.adapter, row.jobs) == (SUMMARY, 1)
    assert row.oldest_seconds is not None


async def test_what_was_deleted_and_what_was_made_anew_is_seen(client: Client, bus: Bus) -> None:
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    for version in ("1", "2"):
        await bucket.put(record(SUMMARY, version).key, encode(record(SUMMARY, version)))
    assert [row.version for row in (await client.snapshot(older_seconds=0)).adapters] == ["1", "2"]
    await bucket.delete(record(SUMMARY, "1").key)
    assert [row.version for row in (await client.snapshot(older_seconds=0)).adapters] == ["2"]
    await bus.js.delete_key_value(bus.subjects.bucket("adapters"))
    missing = await client.snapshot(older_seconds=0)
    assert missing.adapters == ()
    assert "stream_missing" in {trouble.code for trouble in missing.troubles}
    await declare(bus, topology(bus.settings))
    bucket = await bus.js.key_value(bus.subjects.bucket("adapters"))
    await bucket.put(record(SUMMARY, "3").key, encode(record(SUMMARY, "3")))
    assert [row.version for row in (await client.snapshot(older_seconds=0)).adapters] == ["3"]


async def test_a_silent_worker_is_lost_and_one_that_said_goodbye_is_not(
    client: Client, bus: Bus, wait_until: Callable[..., Awaitable[None]]
) -> None:
    name = bus.subjects.bucket("workers")
    beat = {headers.TTL: "5"}
    for worker in ("w1", "w2"):
        await bus.js.publish(f"$KV.{name}.{worker}", encode(advert(worker)), headers=beat)
    shown = await client.snapshot(older_seconds=0)
    assert [(row.worker, row.lost) for row in shown.workers] == [("w1", False), ("w2", False)]
    await (await bus.js.key_value(name)).delete("w2")

    async def is_lost() -> bool:
        shown = await client.snapshot(older_seconds=0)
        return [(row.worker, row.lost) for row in shown.workers] == [("w1", True)]

    await wait_until(is_lost)
    shown = await client.snapshot()
    assert (shown.overview.workers, shown.overview.workers_lost) == (0, 1)
    assert "worker_lost" in {trouble.code for trouble in shown.troubles if trouble.about == "w1"}


async def test_a_lost_worker_is_told_alike_by_who_saw_it_and_by_who_came_later__f4(
    settings: YardSettings, client: Client, bus: Bus, wait_until: Callable[..., Awaitable[None]]
) -> None:
    name = bus.subjects.bucket("workers")
    seen = SnapshotReader(bus)
    await bus.js.publish(f"$KV.{name}.w1", encode(advert("w1")), headers={headers.TTL: "1"})
    assert [row.engine for row in (await seen.read()).workers] == ["echo"]
    entries: BucketCopy[WorkerAdvert] = BucketCopy(bus, "workers", lambda _key, _value: None)

    async def is_over() -> bool:
        await entries.look()
        return [one.written for one in entries.entries.values()] == [Written.EXPIRED]

    await wait_until(is_over)
    async with await connect(settings, name="later") as other:
        later = SnapshotReader(other)
        told = [(await reader.read()).workers for reader in (seen, later)]
    rows = [[row.model_copy(update={"age_seconds": 0.0}) for row in shown] for shown in told]
    assert rows == [[WorkerRow(worker="w1", age_seconds=0.0, lost=True)]] * 2
    config = (await bus.api(f"STREAM.INFO.KV_{name}"))["config"]
    kept = config["subject_delete_marker_ttl"] / NANOSECONDS
    assert kept >= REMEMBERED_SECONDS, "a host that is started later still finds the mark"


@pytest.mark.parametrize(
    ("body", "given", "shown"),
    [
        (b"", {MARKER: "MaxAge"}, [("w1", True)]),
        (b"x", {MARKER: "MaxAge"}, [("w1", True)]),
        (b"", {MARKER: "Purge"}, []),
        (b"", {"KV-Operation": "PURGE"}, []),
        (b"", {"KV-Operation": "DEL"}, []),
        (b"", {"KV-Operation": "nonsense"}, [("w1", False)]),
        (b"", {}, [("w1", False)]),
    ],
)
async def test_only_what_ran_out_is_lost_whatever_lies_under_its_name__g2(
    bus: Bus, body: bytes, given: dict[str, str], shown: list[tuple[str, bool]]
) -> None:
    name, reader = bus.subjects.bucket("workers"), SnapshotReader(bus)
    await bus.js.publish(f"$KV.{name}.w1", encode(advert("w1")))
    await reader.read()
    await bus.js.publish(f"$KV.{name}.w1", body, headers=given)
    found = await reader.read()
    assert [(row.worker, row.lost) for row in found.workers] == shown
    unreadable = [trouble.about for trouble in found.troubles if trouble.code == "record_unreadable"]
    assert bool(unreadable) == ([lost for _, lost in shown] == [False])


async def test_an_earlier_release_remembers_for_ten_minutes_once_it_is_mended__f4(bus: Bus) -> None:
    name = f"KV_{bus.subjects.bucket('workers')}"
    config = (await bus.api(f"STREAM.INFO.{name}"))["config"]
    earlier = {**config, "subject_delete_marker_ttl": 10 * NANOSECONDS}
    await bus.api(f"STREAM.UPDATE.{name}", earlier)
    assert [drift.name for drift in await find_drift(bus, topology(bus.settings))] == [name]
    assert await mend(bus, topology(bus.settings)) == ()


async def test_an_unreadable_record_is_named_and_hides_nothing(client: Client, bus: Bus) -> None:
    name = bus.subjects.bucket("workers")
    await bus.js.publish(f"$KV.{name}.w1", b"nonsense")
    await bus.js.publish(f"$KV.{name}.w2", encode(advert("w2")))
    shown = await client.snapshot()
    assert [row.worker for row in shown.workers] == ["w1", "w2"]
    assert f"{name}/w1" in {trouble.about for trouble in shown.troubles}


async def test_parts_that_nobody_asked_for_are_not_there(client: Client) -> None:
    await client.submit("a")
    shown = await client.snapshot(parts=["workers"])
    assert (shown.queues, shown.overview.unfinished) == ((), 1)
    with pytest.raises(InvalidRequestError, match="there are queues, adapters"):
        await client.snapshot(parts=["everything"])


async def test_without_a_yard_it_says_so(bus_url: str) -> None:
    async with Client(settings=YardSettings(url=bus_url, prefix="nobody")) as client:
        with pytest.raises(YardNotReadyError):
            await client.snapshot()
