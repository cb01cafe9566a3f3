"""Many jobs together or none (E2), and two requests under one key (E4), over a real server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace

import pytest

import lorayard.batch_publisher
import lorayard.submitter
from lorayard import (
    Client,
    GenerateRequest,
    IdempotencyConflictError,
    InvalidRequestError,
    JobHandle,
    LimitReachedError,
    NotSentError,
    ResultState,
    SyncClient,
    YardFullError,
    YardNotReadyError,
)
from lorayard.batch_publisher import MAX_BATCH_JOBS
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import INLINE_BYTES, Job
from lorayard_schemas.limit import ClosedDoor, ReachedLimit
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.declare import mend
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

MIB = 2**20


@pytest.fixture
async def yard(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings) as yard:
        yield yard


async def answer(bus: Bus, handle: JobHandle, digest: str | None) -> None:
    store = ResultStore(bus, PayloadStore(bus))
    await store.store(
        JobResult(
            job=handle.id,
            tenant="default",
            state=ResultState.SUCCEEDED,
            text="an answer",
            request_digest=digest,
        )
    )


async def stored(bus: Bus, sequence: int) -> Job:
    found = await bus.js.get_msg(bus.subjects.stream("jobs"), sequence, direct=True)
    return decode(Job, found.data or b"")


def keyed(*keys: str, prompt: str = "hello") -> list[GenerateRequest]:
    return [GenerateRequest(prompt, idempotency_key=key) for key in keys]


async def test_a_stream_from_before_batches_is_told_with_what_mends_it__e2(yard: Client, bus: Bus) -> None:
    stream = bus.subjects.stream("jobs")
    config = (await bus.api(f"STREAM.INFO.{stream}"))["config"]
    await bus.api(f"STREAM.UPDATE.{stream}", {**config, "allow_atomic": False})
    report = await yard.submit_many([GenerateRequest("a"), GenerateRequest("b")], atomic=True)
    assert [place for place, _ in report.errors] == [0, 1]
    assert "doctor --mend" in str(report.errors[0][1])
    await mend(bus, topology(bus.settings))
    assert not (await yard.submit_many([GenerateRequest("a"), GenerateRequest("b")], atomic=True)).errors


async def test_a_thousand_jobs_are_taken_together__e2(yard: Client, bus: Bus) -> None:
    report = await yard.submit_many(
        (GenerateRequest(f"text {number}") for number in range(MAX_BATCH_JOBS)), atomic=True
    )
    handles = report.all_handles()
    assert len({handle.id for handle in handles}) == MAX_BATCH_JOBS
    assert not any(handle.existing for handle in handles)
    assert (await yard.queue_depth()).total == MAX_BATCH_JOBS
    assert (await stored(bus, 7)).prompt == "text 6"


async def test_more_than_a_batch_holds_is_refused_with_the_limit__g3(yard: Client) -> None:
    with pytest.raises(InvalidRequestError, match=r"requests: .* at most 1000"):
        await yard.submit_many([GenerateRequest("x")] * (MAX_BATCH_JOBS + 1), atomic=True)
    assert (await yard.queue_depth()).total == 0


async def test_no_requests_are_no_batch(yard: Client) -> None:
    assert len(await yard.submit_many([], atomic=True)) == 0


async def test_one_bad_request_holds_back_the_others_and_each_is_told_why__g3(yard: Client) -> None:
    requests = [GenerateRequest("one"), GenerateRequest(""), GenerateRequest("x", adapter="Bad")]
    first, second, third = await yard.submit_many(requests, atomic=True)
    assert isinstance(first, NotSentError)
    assert (first.index, first.cause) == (1, second)
    assert isinstance(second, InvalidRequestError)
    assert isinstance(third, InvalidRequestError)
    assert third.field == "adapter"
    assert (await yard.queue_depth()).total == 0


async def test_a_job_for_later_is_no_part_of_a_batch__g3(yard: Client) -> None:
    """It goes to another stream, and a batch is one stream's."""
    first, second = await yard.submit_many(
        [GenerateRequest("x"), GenerateRequest("y", delay_seconds=60)], atomic=True
    )
    assert isinstance(second, InvalidRequestError)
    assert second.field == "delay_seconds"
    assert isinstance(first, NotSentError)


async def test_another_request_under_a_key_is_told_while_the_first_is_scheduled__e4(yard: Client) -> None:
    await yard.submit("hello", idempotency_key="k", delay_seconds=3600)
    assert (await yard.submit("hello", idempotency_key="k", delay_seconds=60)).existing
    with pytest.raises(IdempotencyConflictError):
        await yard.submit("bye", idempotency_key="k", delay_seconds=3600)


async def test_a_job_that_a_limit_would_refuse_holds_back_the_batch__e5(
    yard: Client, bus: Bus, wait_until: Callable[..., Awaitable[None]]
) -> None:
    """As a dispatcher has told the tenant's clients: sent, it would be refused, and the others would run."""
    batch = [GenerateRequest("x"), GenerateRequest("y", adapter="a/b/c")]
    reached = ReachedLimit(name="requests_rate", tenant="default", value=1.0, per_seconds=60.0)
    notice = ClosedDoor(limit=reached, adapter="a/b/c", seconds=60.0, retry_after_seconds=9.0)
    assert (await yard.submit_many(batch, atomic=True)).all_handles()  # from now on it listens
    await bus.nc.publish(bus.subjects.door("default"), encode(notice))

    async def is_shut() -> bool:
        entries = (await yard.submit_many(batch, atomic=True)).entries
        return [type(entry) for entry in entries] == [NotSentError, LimitReachedError]

    await wait_until(is_shut)


async def test_a_queue_without_room_for_all_takes_none(
    make_settings: Callable[..., Awaitable[YardSettings]],
) -> None:
    settings = await make_settings(jobs_max_bytes=MIB)
    async with Client(settings=settings) as yard:
        report = await yard.submit_many([GenerateRequest("x" * (MIB // 10))] * 30, atomic=True)
        assert {type(entry) for entry in report} == {YardFullError}
        assert (await yard.queue_depth()).total == 0
        assert (await yard.submit_many([GenerateRequest("x")] * 3, atomic=True)).all_handles()


async def test_a_batch_larger_than_what_is_written_at_once_is_whole(yard: Client) -> None:
    report = await yard.submit_many([GenerateRequest("x" * (INLINE_BYTES - 512))] * 40, atomic=True)
    assert len(report.all_handles()) == 40
    assert (await yard.queue_depth()).total == 40


async def test_a_batch_may_fill_several_partitions(
    make_settings: Callable[..., Awaitable[YardSettings]],
) -> None:
    settings = await make_settings(partitions=3)
    async with Client(settings=settings) as yard:
        report = await yard.submit_many(
            [GenerateRequest("x", adapter=f"a/b/c{number}", lane="bulk") for number in range(20)], atomic=True
        )
        assert len(report.all_handles()) == 20
        assert (await yard.queue_depth()).total == 20


async def test_keys_that_the_yard_has_are_taken_as_they_are__e4(yard: Client, bus: Bus) -> None:
    """The server refuses the whole batch for one of them, and does not say which."""
    queued, answered = (await yard.submit_many(keyed("queued", "answered"))).all_handles()
    await answer(bus, answered, (await stored(bus, 2)).request_digest)
    report = await yard.submit_many(keyed("new", "queued", "answered", "new"), atomic=True)
    new, again, done, twice = report.all_handles()
    assert (again.id, done.id, twice.id) == (queued.id, answered.id, new.id)
    assert [entry.existing for entry in (new, again, done, twice)] == [False, True, True, True]
    assert (await yard.queue_depth()).total == 3
    assert (await done.result(timeout_seconds=10)).text == "an answer"


async def test_a_key_of_another_request_holds_back_the_batch__e4(yard: Client) -> None:
    await yard.submit("hello", idempotency_key="k")
    conflicting = [*keyed("k", prompt="other"), GenerateRequest("fine")]
    first, second = await yard.submit_many(conflicting, atomic=True)
    assert isinstance(first, IdempotencyConflictError)
    assert isinstance(second, NotSentError)
    first, second = await yard.submit_many([*keyed("n"), *keyed("n", prompt="other")], atomic=True)
    assert isinstance(first, NotSentError)
    assert isinstance(second, IdempotencyConflictError)
    assert (await yard.queue_depth()).total == 1


async def test_a_batch_whose_answer_was_lost_is_stored_once(
    yard: Client, settings: YardSettings, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the server goes down between the two: its jobs are known, under no key of the caller."""
    monkeypatch.setattr(lorayard.batch_publisher, "TRY_SECONDS", 0.2)
    stream = bus.subjects.stream("jobs")
    config = (await bus.api(f"STREAM.INFO.{stream}"))["config"]
    await bus.api(f"STREAM.UPDATE.{stream}", {**config, "no_ack": True})
    sent = await bus.nc.subscribe(bus.subjects.jobs)
    await bus.api("INFO")  # a round trip behind the subscription: the PING of flush() overtakes it
    submitting = asyncio.create_task(yard.submit_many([GenerateRequest("x")] * 3, atomic=True))
    for _ in range(3):
        await sent.next_msg(timeout=30)
    await bus.api(f"STREAM.UPDATE.{stream}", config)
    handles = (await submitting).all_handles()
    assert not any(handle.existing for handle in handles)
    assert (await yard.queue_depth()).total == 3


async def test_a_bus_without_a_yard_says_so(bus_url: str) -> None:
    async with Client(bus_url, prefix="nobody") as yard:
        (entry,) = await yard.submit_many([GenerateRequest("x")], atomic=True)
    assert isinstance(entry, YardNotReadyError)


def test_the_sync_client_has_it_too(settings: YardSettings) -> None:
    with SyncClient(settings=settings) as yard:
        report = yard.submit_many([GenerateRequest("x"), GenerateRequest("y")], atomic=True)
        assert len(report.all_handles()) == 2
        with pytest.raises(NotSentError):
            yard.submit_many([GenerateRequest("x"), GenerateRequest("")], atomic=True).all_handles()


async def test_another_request_under_a_key_is_told_while_the_first_waits__e4(yard: Client) -> None:
    first = await yard.submit("hello", idempotency_key="k", deadline_seconds=60)
    again = await yard.submit("hello", idempotency_key="k", lane="bulk", temperature=0)
    assert (again.id, again.existing) == (first.id, True)
    for other in (
        yard.submit("bye", idempotency_key="k"),
        yard.submit("hello", adapter="a/b/c", idempotency_key="k"),
    ):
        with pytest.raises(IdempotencyConflictError, match=first.id) as caught:
            await other
        assert (caught.value.key, caught.value.job_id) == ("k", first.id)
    assert (await yard.queue_depth()).total == 1


async def test_another_request_under_a_key_is_told_when_the_first_is_answered__e4(
    yard: Client, settings: YardSettings, bus: Bus
) -> None:
    first = await yard.submit("hello", idempotency_key="k")
    await answer(bus, first, (await stored(bus, 1)).request_digest)
    await bus.api(f"STREAM.PURGE.{bus.subjects.stream('jobs')}")
    async with Client(settings=settings) as other:
        with pytest.raises(IdempotencyConflictError):
            await other.submit("bye", idempotency_key="k")
        assert (await other.submit("hello", idempotency_key="k")).existing


async def test_a_long_prompt_is_told_apart_by_its_text__e4(yard: Client) -> None:
    """It travels under a reference of its own each time."""
    text = "x" * (INLINE_BYTES + 1)
    await yard.submit(text, idempotency_key="k")
    assert (await yard.submit(text, idempotency_key="k")).existing
    with pytest.raises(IdempotencyConflictError):
        await yard.submit(text + "y", idempotency_key="k")


async def test_a_bulk_tells_conflicts_item_by_item__e4(yard: Client) -> None:
    entries = (await yard.submit_many([*keyed("a", "b"), *keyed("a", prompt="other"), *keyed("b")])).entries
    assert [type(entry) for entry in entries] == [JobHandle, JobHandle, IdempotencyConflictError, JobHandle]


async def test_a_deadline_counts_by_the_servers_clock__e4(
    yard: Client, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client whose clock is an hour behind would else see its jobs expire as they come."""
    now = time.time()
    monkeypatch.setattr(lorayard.submitter, "time", SimpleNamespace(time=lambda: now - 3600))
    await yard.submit("hello", deadline_seconds=60)
    await yard.submit("hello", start_within_seconds=60)
    first, second = await stored(bus, 1), await stored(bus, 2)
    assert first.deadline is not None
    assert second.start_by is not None
    assert min(first.deadline, second.start_by) > now
