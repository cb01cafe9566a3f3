"""Submitting jobs and awaiting their results over a real server (E1, E2, E3, E4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lorayard import (
    Client,
    ClientClosedError,
    ErrorKind,
    GenerateRequest,
    InvalidRequestError,
    JobCancelledError,
    JobExpiredError,
    JobFailedError,
    JobHandle,
    JobTimeoutError,
    Lane,
    PayloadTooLargeError,
    ResultState,
    ResultTextMissingError,
    UnreadableRecordError,
)
from lorayard.submitter import ENVELOPE_BYTES
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import INLINE_BYTES, MAX_JOB_BYTES, Job
from lorayard_schemas.result import JobResult, Maker, ResultError
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

MANY = 2000


@pytest.fixture
async def yard(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings) as yard:
        yield yard


@pytest.fixture
def store(bus: Bus) -> ResultStore:
    return ResultStore(bus, PayloadStore(bus))


def answer(job_id: str, text: str = "an answer", tenant: str = "default") -> JobResult:
    maker = Maker(worker="w1", adapter="acme/tiny/echo", version="1", rule="explicit", tier="slot")
    return JobResult(job=job_id, tenant=tenant, state=ResultState.SUCCEEDED, text=text, maker=maker)


async def stored_jobs(bus: Bus) -> list[tuple[str, Job]]:
    """Subject and body of every job in the stream."""
    stream = bus.subjects.stream("jobs")
    state = (await bus.api(f"STREAM.INFO.{stream}"))["state"]
    found: list[tuple[str, Job]] = []
    for sequence in range(state["first_seq"], state["last_seq"] + 1):
        message = await bus.js.get_msg(stream, sequence, direct=True)
        found.append((message.subject or "", decode(Job, message.data or b"")))
    return found


async def test_a_job_is_its_subject_and_its_body(yard: Client, bus: Bus) -> None:
    handle = await yard.submit("hello", adapter="acme/tiny/echo@2", lane="urgent", max_new_tokens=7, task="t")
    await yard.submit([{"role": "user", "content": "hi"}])
    (subject, job), (second_subject, second) = await stored_jobs(bus)
    address = JobAddress(lane=Lane.URGENT, tenant="default", adapter="acme/tiny/echo@2")
    assert bus.subjects.parse_job(subject) == address
    assert (job.id, job.prompt, job.sampling.max_new_tokens, job.task) == (handle.id, "hello", 7, "t")
    assert bus.subjects.parse_job(second_subject).adapter is None
    assert second.messages is not None


async def test_a_handle_is_awaited(yard: Client, store: ResultStore) -> None:
    handle = await yard.submit("hello")
    assert not await handle.done()
    await store.store(answer(handle.id))
    result = await handle
    assert (result.job_id, result.text, result.worker) == (handle.id, "an answer", "w1")
    assert (result.adapter, result.version, result.rule, result.tier) == (
        "acme/tiny/echo",
        "1",
        "explicit",
        "slot",
    )
    assert await handle.done()
    assert await handle.result() is result


async def test_generate_waits_for_the_answer(yard: Client, store: ResultStore, bus: Bus) -> None:
    submitted = await bus.nc.subscribe(bus.subjects.jobs)
    await bus.api("INFO")  # a round trip behind the subscription: the PING of flush() overtakes it
    waiting = asyncio.create_task(yard.generate("hello"))
    job = decode(Job, (await submitted.next_msg(timeout=30)).data)
    await store.store(answer(job.id, "there"))
    assert (await waiting).text == "there"


async def test_two_thousand_jobs_all_get_their_own_answer(yard: Client, store: ResultStore) -> None:
    report = await yard.submit_many(GenerateRequest(f"text {number}", lane="bulk") for number in range(MANY))
    handles = report.all_handles()
    assert len({handle.id for handle in handles}) == MANY
    assert (await yard.queue_depth()).total == MANY
    waiting = asyncio.gather(*(handle.result() for handle in handles))
    for start in range(0, MANY, 250):
        part = list(enumerate(handles))[start : start + 250]
        await asyncio.gather(*(store.store(answer(handle.id, f"answer {at}")) for at, handle in part))
    assert [result.text for result in await waiting] == [f"answer {number}" for number in range(MANY)]


async def test_a_bad_request_among_many_harms_no_other(yard: Client) -> None:
    report = await yard.submit_many(
        [
            GenerateRequest("one"),
            GenerateRequest(""),
            GenerateRequest("x", adapter="Bad"),
            GenerateRequest("two"),
        ]
    )
    assert [type(entry) for entry in report] == [
        JobHandle,
        InvalidRequestError,
        InvalidRequestError,
        JobHandle,
    ]
    assert [place for place, _ in report.errors] == [1, 2]
    assert (await yard.queue_depth()).total == 2


async def test_any_process_can_await_a_job_by_its_id(
    yard: Client, settings: YardSettings, store: ResultStore
) -> None:
    early, late = await yard.submit("early"), await yard.submit("late")
    await store.store(answer(early.id, "was there"))
    async with Client(settings=settings) as other:
        assert (await other.handle(early.id)).text == "was there"
        waiting = asyncio.create_task(other.handle(late.id).result())
        await other.handle(early.id).result()
        await store.store(answer(late.id, "came later"))
        assert (await waiting).text == "came later"


async def test_tenants_do_not_see_each_other(
    yard: Client, settings: YardSettings, store: ResultStore
) -> None:
    handle = await yard.submit("hello")
    await store.store(answer(handle.id))
    async with Client(settings=settings, tenant="Another, Inc.") as other:
        assert not await other.handle(handle.id).done()
        own = await other.submit("hello")
        await store.store(answer(own.id, "yours", tenant="Another, Inc."))
        assert (await own).text == "yours"


async def test_the_same_key_gives_the_same_job(
    yard: Client, settings: YardSettings, store: ResultStore
) -> None:
    first = await yard.submit("hello", idempotency_key="order 7")
    async with Client(settings=settings) as other:
        again = await other.submit("hello", idempotency_key="order 7")
        assert (again.id, again.existing, first.existing) == (first.id, True, False)
        assert (await yard.queue_depth()).total == 1
        await store.store(answer(first.id))
        assert (await again).text == (await first).text == "an answer"
    async with Client(settings=settings, idempotency_salt="secret") as salted:
        assert (await salted.submit("hello", idempotency_key="order 7")).id != first.id


async def test_an_answered_key_is_never_run_again(yard: Client, bus: Bus, store: ResultStore) -> None:
    first = await yard.submit("hello", idempotency_key="k")
    await store.store(answer(first.id))
    # As after the duplicate window: the stream has forgotten the job and its id.
    await bus.api(f"STREAM.DELETE.{bus.subjects.stream('jobs')}")
    await declare(bus, topology(bus.settings))
    async with Client(settings=bus.settings) as other:
        again = await other.submit("hello", idempotency_key="k")
        assert again.existing
        assert (await again.result(timeout_seconds=10)).text == "an answer"
        assert (await other.queue_depth()).total == 0


async def test_a_key_twice_in_one_bulk_is_one_job(yard: Client) -> None:
    twice = [GenerateRequest("hello", idempotency_key="k")] * 2
    first, second = (await yard.submit_many(twice)).all_handles()
    assert (first.id, first.existing, second.existing) == (second.id, False, True)
    assert (await yard.queue_depth()).total == 1


async def test_big_prompts_and_results_travel_by_reference(
    yard: Client, bus: Bus, store: ResultStore
) -> None:
    big = "grüße " * (INLINE_BYTES // 4)
    handle = await yard.submit(big)
    ((_, job),) = await stored_jobs(bus)
    assert job.prompt is None
    assert job.prompt_ref is not None
    assert await PayloadStore(bus).get(job.prompt_ref) == big
    await store.store(answer(handle.id, big[::-1]))
    assert (await handle).text == big[::-1]


@pytest.mark.parametrize("atomic", [True, False])
async def test_a_big_prompt_of_many_jobs_is_kept_once(yard: Client, bus: Bus, *, atomic: bool) -> None:
    big, other = "x" * (INLINE_BYTES + 1), "y" * (INLINE_BYTES + 1)
    asked = [GenerateRequest(prompt, seed=seed) for prompt in (big, other) for seed in range(4)]
    (await yard.submit_many(asked, atomic=atomic)).all_handles()
    refs = [job.prompt_ref for _, job in await stored_jobs(bus)]
    assert len({ref.key for ref in refs if ref is not None}) == 2
    assert [await PayloadStore(bus).get(ref) for ref in refs[3:5] if ref is not None] == [big, other]
    await yard.submit(big)
    _, last = (await stored_jobs(bus))[-1]
    assert last.prompt_ref is not None
    assert last.prompt_ref not in refs, "what was kept before may be old"


async def test_a_lost_big_result_says_so(yard: Client, bus: Bus, store: ResultStore) -> None:
    handle = await yard.submit("hello")
    await store.store(answer(handle.id, "x" * (INLINE_BYTES + 1)))
    await bus.api(f"STREAM.PURGE.OBJ_{bus.subjects.bucket('payloads')}")
    with pytest.raises(ResultTextMissingError, match=handle.id):
        await handle


async def test_a_conversation_too_big_for_a_message_is_refused(yard: Client) -> None:
    with pytest.raises(PayloadTooLargeError) as caught:
        await yard.submit([{"role": "user", "content": "x" * 2**21}])
    assert caught.value.field == "messages"


async def test_what_no_dispatcher_could_hand_over_is_refused_at_the_door(yard: Client) -> None:
    """The bus would take it, and the answer would come only later."""
    with pytest.raises(PayloadTooLargeError) as caught:
        await yard.submit("short", metadata={"notes": "x" * (MAX_JOB_BYTES + 1)})
    assert (caught.value.field, caught.value.limit_bytes) == ("metadata", MAX_JOB_BYTES - ENVELOPE_BYTES)
    with pytest.raises(PayloadTooLargeError, match=r"messages: .* at most"):
        await yard.submit([{"role": "user", "content": "x" * MAX_JOB_BYTES}])


async def test_every_bad_end_has_its_error(yard: Client, store: ResultStore) -> None:
    error = ResultError(kind=ErrorKind.PERMANENT, code="unknown_adapter", message="no such", field="adapter")
    ends = {
        ResultState.FAILED: JobFailedError,
        ResultState.CANCELLED: JobCancelledError,
        ResultState.EXPIRED: JobExpiredError,
    }
    for state, kind in ends.items():
        handle = await yard.submit("hello")
        await store.store(JobResult(job=handle.id, tenant="default", state=state, error=error))
        with pytest.raises(kind):
            await handle
        outcome = await handle.outcome()
        assert (outcome.state, outcome.rule) == (state, None), "nobody worked on it"


async def test_waiting_ends_at_its_limit_and_the_job_goes_on(yard: Client, store: ResultStore) -> None:
    handle = await yard.submit("hello")
    with pytest.raises(JobTimeoutError, match=handle.id):
        await handle.result(timeout_seconds=0.01)
    await store.store(answer(handle.id))
    assert (await handle).succeeded


async def test_closing_the_client_ends_every_wait(settings: YardSettings) -> None:
    async with Client(settings=settings) as yard:
        handle = await yard.submit("hello")
        waiting = asyncio.create_task(handle.result())
        await yard.queue_depth()  # the task has its turn
    with pytest.raises(ClientClosedError):
        await waiting
    with pytest.raises(ClientClosedError):
        await handle


async def test_one_waiter_that_gives_up_takes_no_other_along(yard: Client, store: ResultStore) -> None:
    handle = await yard.submit("hello")
    patient = asyncio.create_task(handle.result())
    with pytest.raises(JobTimeoutError):
        await handle.result(timeout_seconds=0.01)
    await store.store(answer(handle.id))
    assert (await patient).succeeded


async def test_an_unreadable_result_is_an_error_and_not_a_wait(yard: Client, bus: Bus) -> None:
    handle = await yard.submit("hello")
    await bus.js.publish(bus.subjects.result("default", handle.id), b"\xc1 no message")
    with pytest.raises(UnreadableRecordError, match=handle.id):
        await handle


async def test_a_json_result_is_read_too(yard: Client, bus: Bus) -> None:
    handle = await yard.submit("hello")
    body = answer(handle.id).model_dump_json().encode()
    await bus.js.publish(bus.subjects.result("default", handle.id), body)
    assert (await handle).text == "an answer"
    assert encode(answer(handle.id)) != body
