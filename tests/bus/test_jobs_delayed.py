"""Jobs for later, from the client over a real server to their one result (E4)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

import pytest

from lorayard import (
    CancelOutcome,
    Client,
    GenerateRequest,
    InvalidRequestError,
    Lane,
    ResultState,
    SyncClient,
    YardFullError,
    YardNotReadyError,
)
from lorayard.job_ids import keyed_job_id
from lorayard.later import schedule_headers
from lorayard_schemas.codec import encode
from lorayard_schemas.job import INLINE_BYTES, Job
from lorayard_schemas.result import JobResult
from lorayard_schemas.status import DispatcherStatus
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
HOUR = 3600.0


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> object: ...
    async def worker(self, name: str = "w1", **given: object) -> object: ...
    async def stored(self, job: str, *, tenant: str = "acme") -> JobResult | None: ...
    async def status(self) -> DispatcherStatus: ...
    async def left(self, kind: str = "jobs") -> int: ...


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings) as client:
        yield client


async def test_a_job_for_later_runs_at_its_time_and_one_that_is_over_at_once__e4(
    yard: Yard, client: Client
) -> None:
    await yard.dispatcher()
    await yard.worker()
    before = time.time()
    soon = await client.submit("soon", delay_seconds=1)
    past = await client.submit("past", at=before - 60)
    far = await client.submit("far", at=before + HOUR, lane="bulk", adapter="base")
    assert (await past.result(60)).text
    assert (await soon.outcome(60)).state is ResultState.SUCCEEDED
    assert time.time() >= before + 1
    (waits,) = await client.scheduled()
    assert (waits.job_id, waits.attempt, waits.address.lane, waits.address.adapter) == (
        far.id,
        1,
        "bulk",
        "base",
    )
    assert abs(waits.at - before - HOUR) < 1e-3
    assert not await far.done()


async def test_scheduled_jobs_count_as_waiting_and_are_listed_by_tenant__e4(
    settings: YardSettings, client: Client
) -> None:
    report = await client.submit_many(
        GenerateRequest(f"p{number}", delay_seconds=HOUR + number) for number in range(3)
    )
    assert report.errors == []
    assert len(report.handles) == 3
    async with Client(settings=settings, tenant="acme") as other:
        await other.submit("x", delay_seconds=60)
        assert [one.address.tenant for one in await other.scheduled()] == ["acme"]
    assert [one.job_id for one in await client.scheduled()] == [handle.id for handle in report.handles]
    listed = await client.scheduled(all_tenants=True)
    assert [one.address.tenant for one in listed] == ["acme", "default", "default", "default"]
    depth = await client.queue_depth()
    assert (depth.delayed, depth.total) == (4, 4)


async def test_a_bad_one_harms_no_other_and_its_field_is_named__e4(client: Client) -> None:
    report = await client.submit_many(
        [
            GenerateRequest("a", delay_seconds=HOUR),
            GenerateRequest("b", delay_seconds=HOUR, deadline_seconds=60),
            GenerateRequest("c" * (INLINE_BYTES + 1), delay_seconds=30 * 24 * HOUR),
        ]
    )
    fields = [error.field for _, error in report.errors if isinstance(error, InvalidRequestError)]
    assert fields == ["deadline_seconds", "prompt"]
    assert len(await client.scheduled()) == 1


async def test_the_same_key_schedules_once_however_long_it_waits__e4(client: Client, bus: Bus) -> None:
    job_id = keyed_job_id(tenant="default", salt="", key="k")
    subjects, at = bus.subjects, time.time() + HOUR
    subject = subjects.job(JobAddress(lane=Lane.NORMAL, tenant="default", adapter=None))
    # Submitted so long ago that the stream knows the message's id no more.
    await bus.js.publish(
        subjects.delayed_job("default", job_id),
        encode(Job(id=job_id, prompt="x")),
        headers=schedule_headers(subjects, subject, at),
    )
    again = await client.submit("x", delay_seconds=2 * HOUR, idempotency_key="k")
    assert (again.existing, again.id) == (True, job_id)
    (waits,) = await client.scheduled()
    assert abs(waits.at - at) < 1e-3
    other = await client.submit("x", delay_seconds=HOUR, idempotency_key="another")
    assert not other.existing


async def test_a_cancelled_one_is_taken_out_and_answered__e4(yard: Yard, client: Client) -> None:
    await yard.dispatcher()
    handle = await client.submit("x", delay_seconds=HOUR)
    assert await handle.cancel() is CancelOutcome.CANCELLED
    assert (await handle.outcome(60)).state is ResultState.CANCELLED
    assert await client.scheduled() == []
    assert await handle.cancel() is CancelOutcome.FINISHED


async def test_one_that_comes_due_while_it_is_cancelled_has_one_result_and_does_not_run__e4(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    handle = await client.submit("x", delay_seconds=0.2)

    async def due() -> bool:
        return (await client.queue_depth()).delayed == 0

    await wait_until(due)
    # Answered by one who dies before it knows of more; the next dispatcher finds the result.
    store = ResultStore(yard.bus, PayloadStore(yard.bus))
    await store.store(JobResult(job=handle.id, tenant="default", state=ResultState.CANCELLED))
    await yard.worker()
    await yard.dispatcher()

    async def gone() -> bool:
        return await yard.left("delayed") == 0

    await wait_until(gone)
    assert (await handle.outcome(60)).state is ResultState.CANCELLED
    assert (await yard.status()).handed_over == 0


async def test_the_publisher_hears_that_too_much_is_scheduled__e4(settings: YardSettings) -> None:
    small = settings.model_copy(update={"delayed_max_bytes": 3 * 2**19})
    async with Client(settings=small) as client:
        body = "x" * (INLINE_BYTES - 1000)
        report = await client.submit_many(GenerateRequest(body, delay_seconds=HOUR) for _ in range(4))
        assert len(report.handles) == 2
        assert {type(error) for _, error in report.errors} == {YardFullError}
        await client.submit(body)  # what runs now has room of its own


async def test_without_a_yard_nothing_is_scheduled(bus_url: str) -> None:
    async with Client(bus_url, prefix="none") as client:
        with pytest.raises(YardNotReadyError):
            await client.submit("x", delay_seconds=1)
        with pytest.raises(YardNotReadyError):
            await client.scheduled()


def test_the_blocking_client_schedules_too(settings: YardSettings) -> None:
    with SyncClient(settings=settings) as client:
        handle = client.submit("x", delay_seconds=HOUR)
        assert [one.job_id for one in client.scheduled()] == [handle.id]


async def test_jobs_for_later_run_while_no_dispatcher_lives__e4(yard: Yard, client: Client) -> None:
    await yard.worker(emergency=True, emergency_after_seconds=0.3)
    handle = await client.submit("x", delay_seconds=0.5)
    gone = await client.submit("y", delay_seconds=HOUR)
    assert (await handle.outcome(60)).state is ResultState.SUCCEEDED
    assert await gone.cancel() is CancelOutcome.CANCELLED
    assert await client.scheduled() == []
