"""What a caller knows a job by comes back in all that is told of it; one deadline for all (E2, E4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import msgpack
import pytest
import structlog
from opentelemetry import trace
from tests.bus.conftest import Yard

from lorayard import (
    Client,
    DeadlinePassedError,
    GenerateRequest,
    InvalidRequestError,
    JobExpiredError,
    JobTimeoutError,
    ResultState,
    SyncClient,
    deadline,
)
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_schemas.token_event import TokenEvent
from lorayard_shared.explaining.gather import gather

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
TOLD = {"correlation_id": "order-17", "trace_id": TRACE}


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings, tenant="acme") as client:
        yield client


async def stored_job(yard: Yard, job: str) -> Job:
    stream = yard.bus.subjects.stream("jobs")
    found = await yard.bus.js.get_msg(stream, subject=yard.bus.subjects.jobs, next=True, seq=1)
    stored = decode(Job, found.data or b"")
    assert stored.id == job
    return stored


async def test_result_events_records_and_logs_tell_the_callers_ids__e2(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker()
    with structlog.testing.capture_logs() as logs:
        handle = await client.submit("x", correlation_id="order-17", traceparent=TRACEPARENT, stream=True)
        events = [event async for event in handle.events()]
        result = await handle

        def told() -> list[MutableMapping[str, Any]]:  # a worker tells of a job a moment after its result
            return [log for log in logs if log.get("job") == handle.id]

        await wait_until(told)
    assert (result.correlation_id, result.trace_id) == tuple(TOLD.values())
    assert {(event.correlation_id, event.trace_id) for event in events} == {tuple(TOLD.values())}
    assert all(TOLD.items() <= log.items() for log in told())

    subject = yard.bus.subjects.token_events("acme", handle.id)
    first = await yard.bus.js.get_msg(yard.bus.subjects.stream("tokens"), subject=subject, next=True, seq=1)
    assert decode(TokenEvent, first.data or b"").trace_id == TRACE

    async def recorded() -> bool:
        records = (await gather(yard.bus, "acme", handle.id, frozenset())).records
        return bool(records) and all(
            (one.correlation_id, one.trace_id) == tuple(TOLD.values()) for one in records
        )

    await wait_until(recorded)


async def test_a_job_that_never_ran_tells_them_too__e2(yard: Yard, client: Client) -> None:
    await yard.dispatcher()
    handle = await client.submit(
        "x", adapter="no/such/one", correlation_id="order-17", traceparent=TRACEPARENT
    )
    await yard.worker()
    refused = await handle.outcome(30)
    assert refused.state is ResultState.FAILED
    assert (refused.correlation_id, refused.trace_id) == tuple(TOLD.values())


@pytest.mark.parametrize("dispatched", [False, True])
@pytest.mark.parametrize("delay_seconds", [None, 3600])
async def test_a_job_that_was_cancelled_before_anybody_took_it_tells_them_too__e4(
    yard: Yard, client: Client, delay_seconds: float | None, dispatched: bool
) -> None:
    if dispatched:
        await client.control.pause("lane", "normal", reason="so that it stays in its stream")
        await yard.dispatcher()
    handle = await client.submit(
        "x", correlation_id="order-17", traceparent=TRACEPARENT, delay_seconds=delay_seconds
    )
    await handle.cancel()
    stored = await yard.result(handle.id)
    assert stored.state is ResultState.CANCELLED
    assert (stored.correlation_id, stored.trace_id) == tuple(TOLD.values())


async def test_a_malformed_job_tells_what_can_be_read_of_them__e2(yard: Yard) -> None:
    await yard.dispatcher()
    told = {"correlation_id": "order-17", "traceparent": TRACEPARENT, "prompt": 7}
    subject = yard.bus.subjects.job(JobAddress(lane=Lane.NORMAL, tenant="acme", adapter=None))
    await yard.bus.js.publish(subject, msgpack.packb({"id": "all", **told}))
    await yard.bus.js.publish(subject, msgpack.packb({"id": "one", **told, "traceparent": [1]}))
    every, one = await yard.result("all"), await yard.result("one")
    assert every.error is not None
    assert every.error.code == "malformed_job"
    assert (every.correlation_id, every.trace_id) == tuple(TOLD.values())
    assert (one.correlation_id, one.trace_id) == ("order-17", None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("correlation_id", ""),
        ("correlation_id", "two words"),
        ("correlation_id", "x" * 129),
        ("correlation_id", 7),
        ("traceparent", "00-0-0-0"),
        ("traceparent", TRACEPARENT.upper()),
        ("traceparent", f"00-{'0' * 32}-00f067aa0ba902b7-01"),
        ("traceparent", f"ff{TRACEPARENT[2:]}"),
        ("traceparent", f"{TRACEPARENT}\n"),
    ],
)
async def test_ids_that_cannot_be_are_refused_by_name__g3(client: Client, field: str, value: object) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        await client.submit("x", **{field: value})  # type: ignore[arg-type]
    assert refused.value.field == field


async def test_the_span_that_the_caller_is_in_is_taken_and_what_is_given_goes_before__e2(
    yard: Yard, client: Client
) -> None:
    flags = trace.TraceFlags(1)
    context = trace.SpanContext(int(TRACE, 16), 0xF067AA0BA902B7, is_remote=False, trace_flags=flags)
    with trace.use_span(trace.NonRecordingSpan(context)):
        taken = await client.submit("x")
    assert (await stored_job(yard, taken.id)).traceparent == TRACEPARENT
    await yard.bus.js.purge_stream(yard.bus.subjects.stream("jobs"))
    other = TRACEPARENT.replace("4bf", "abc")
    with trace.use_span(trace.NonRecordingSpan(context)):
        given = await client.submit("x", traceparent=other)
    assert (await stored_job(yard, given.id)).traceparent == other
    await yard.bus.js.purge_stream(yard.bus.subjects.stream("jobs"))
    untraced = await client.submit("x")
    assert (await stored_job(yard, untraced.id)).traceparent is None


async def test_another_trace_is_the_same_request_under_a_key__e4(client: Client) -> None:
    first = await client.submit("x", idempotency_key="k", traceparent=TRACEPARENT, correlation_id="a")
    again = await client.submit("x", idempotency_key="k", correlation_id="b")
    assert (again.id, again.existing) == (first.id, True)


async def test_one_deadline_holds_for_jobs_waits_and_what_is_called_inside__e4(
    yard: Yard, client: Client
) -> None:
    handle = await client.submit("before")
    with deadline(seconds=0.2), deadline(seconds=3600):
        started = time.monotonic()
        with pytest.raises(JobTimeoutError):
            await handle.result(timeout_seconds=60)
        report = await client.wait([handle])
        assert (report.done, report.pending) == ([], [handle])
        assert time.monotonic() - started >= 0.2
        with pytest.raises(DeadlinePassedError):
            await client.submit("too late")
        many = await client.submit_many([GenerateRequest("a"), GenerateRequest("b")])
        assert [type(error) for _, error in many.errors] == [DeadlinePassedError] * 2
    await yard.bus.js.purge_stream(yard.bus.subjects.stream("jobs"))
    with deadline(seconds=3600):
        inside = await asyncio.create_task(client.submit("x"))
        job = await stored_job(yard, inside.id)
    assert job.deadline is not None
    assert 3500 < job.deadline - job.created_at <= 3600
    with pytest.raises(InvalidRequestError, match="seconds"), deadline(seconds=0):
        pass


async def test_the_yard_itself_ends_a_job_whose_caller_has_gone__e4(yard: Yard, client: Client) -> None:
    await yard.dispatcher()
    await client.queue_depth()  # connected, so that it is submitted at once
    with deadline(seconds=1.0):
        handle = await client.submit("nobody runs it")
    with pytest.raises(JobExpiredError):
        await handle.result(60)


async def test_the_blocking_client_keeps_the_deadline_around_it__e4(yard: Yard) -> None:
    def ask() -> None:
        with SyncClient(settings=yard.settings) as sync, deadline(seconds=1.0):
            with pytest.raises(JobTimeoutError):
                sync.generate("nobody answers")
            with pytest.raises(DeadlinePassedError):
                sync.submit("too late")

    await asyncio.to_thread(ask)


async def test_a_job_that_nobody_waits_for_any_more_is_cancelled_if_wished__e4(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    with pytest.raises(JobTimeoutError) as late:
        await client.generate("x", timeout_seconds=0.05, cancel_on_timeout=True)
    cancelled = await client.handle(late.value.job_id).outcome(60)
    assert cancelled.state is ResultState.CANCELLED

    with pytest.raises(JobTimeoutError) as kept:
        await client.generate("x", timeout_seconds=0.05)
    assert not await client.handle(kept.value.job_id).done()

    before = (await client.queue_depth()).total
    call = asyncio.create_task(client.generate("y", cancel_on_timeout=True))

    async def queued() -> bool:
        return (await client.queue_depth()).total > before

    await wait_until(queued)
    await client.queue_depth()  # behind the word that it was taken
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    async def ended() -> bool:
        return (await yard.left("results")) == 2

    await wait_until(ended)
