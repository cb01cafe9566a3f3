"""What every yard does, whatever it is made of: the same tests on the one in memory and on a real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.conformance.conftest import Bench

from lorayard import (
    CancelOutcome,
    CancelQuery,
    Client,
    ClientClosedError,
    EventKind,
    GenerateRequest,
    IdempotencyConflictError,
    InvalidRequestError,
    JobCancelledError,
    JobExpiredError,
    JobFailedError,
    JobHandle,
    JobTimeoutError,
    LorayardError,
    NotSentError,
    PayloadTooLargeError,
    RedriveOutcome,
    ResultState,
)
from lorayard_schemas.result import ErrorKind

SECONDS = 20.0
"""No answer here takes as long; who waits for ever fails."""

SOON = {"base_seconds": 0.1, "cap_seconds": 0.1}
LONG_PROMPT = "long " * 150_000
"""More than a message carries."""

Until = Callable[..., Awaitable[None]]


async def _error(handle: JobHandle) -> tuple[str, str, str | None]:
    error = (await handle.outcome(SECONDS)).error
    assert error is not None
    return error.kind, error.code, error.field


# One job


async def test_an_answer_is_whole_and_names_its_job(client: Client) -> None:
    handle = await client.submit("hello")
    result = await handle.result(SECONDS)
    assert (result.job_id, result.text, result.state) == (handle.id, "hello", ResultState.SUCCEEDED)
    assert (result.finish_reason, result.attempt, result.attempts) == ("stop", 1, ())
    assert result.error is None


async def test_a_result_says_what_it_cost(client: Client) -> None:
    usage = (await client.generate("hello", timeout_seconds=SECONDS)).usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (5, 5)


async def test_a_job_without_an_adapter_is_the_base_models(client: Client) -> None:
    result = await client.generate("hello", timeout_seconds=SECONDS)
    assert (result.adapter, result.rule) == (None, "base")


async def test_a_conversation_is_answered_to_its_last_turn(client: Client) -> None:
    turns = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    result = await client.generate([*turns, {"role": "user", "content": "three"}], timeout_seconds=SECONDS)
    assert result.text == "three"


async def test_a_job_that_has_ended_is_done(client: Client) -> None:
    handle = await client.submit("hello")
    await handle.result(SECONDS)
    assert await handle.done()


async def test_a_job_that_runs_is_not_done(client: Client) -> None:
    handle = await client.submit("never")
    assert not await handle.done()
    await handle.cancel()


async def test_a_result_is_read_by_id_from_another_client(bench: Bench, client: Client, tenant: str) -> None:
    handle = await client.submit("hello")
    async with bench.client(tenant) as other:
        assert (await other.handle(handle.id).result(SECONDS)).text == "hello"


async def test_another_tenant_does_not_see_a_result(bench: Bench, client: Client) -> None:
    handle = await client.submit("hello")
    await handle.result(SECONDS)
    async with bench.client("somebody-else") as other:
        assert not await other.handle(handle.id).done()


async def test_a_handle_is_awaited_as_often_as_one_likes(client: Client) -> None:
    handle = await client.submit("hello")
    first, second = await asyncio.gather(handle, handle)
    assert first == second == await handle


async def test_a_wait_that_is_too_short_leaves_the_job_alone(client: Client) -> None:
    handle = await client.submit("wait 0.3 then answer")
    with pytest.raises(JobTimeoutError):
        await handle.result(0.0)
    assert (await handle.result(SECONDS)).succeeded


async def test_a_closed_client_refuses_and_its_jobs_go_on(bench: Bench, tenant: str) -> None:
    async with bench.client(tenant) as client:
        handle = await client.submit("wait 0.1 then answer")
    with pytest.raises(ClientClosedError):
        await client.submit("hello")
    async with bench.client(tenant) as other:
        assert (await other.handle(handle.id).result(SECONDS)).succeeded


# Refusals


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"adapter": "no adapter"}, "adapter"),
        ({"lane": "fast"}, "lane"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"delay_seconds": -1}, "delay_seconds"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"retry": {"max_attempts": 0}}, "retry.max_attempts"),
        ({"idempotency_key": ""}, "idempotency_key"),
    ],
)
async def test_a_wrong_field_is_refused_by_name(
    client: Client, options: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.submit("hello", **options)  # type: ignore[arg-type]  # the mistakes  # pyright: ignore[reportArgumentType]
    assert caught.value.field == field


async def test_an_empty_prompt_is_refused(client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="prompt is empty"):
        await client.submit(" ")


async def test_a_prompt_longer_than_a_message_is_answered(client: Client) -> None:
    assert (await client.generate(LONG_PROMPT, timeout_seconds=SECONDS)).text == LONG_PROMPT


async def test_a_conversation_longer_than_a_message_is_refused(client: Client) -> None:
    with pytest.raises(PayloadTooLargeError) as caught:
        await client.submit([{"role": "user", "content": LONG_PROMPT}])
    assert caught.value.field == "messages"


async def test_a_permanent_failure_is_told_at_once_with_its_field(client: Client) -> None:
    handle = await client.submit("refuse this")
    with pytest.raises(JobFailedError, match="as the prompt says"):
        await handle.result(SECONDS)
    assert await _error(handle) == (ErrorKind.PERMANENT, "bad_prompt", "prompt")
    assert (await handle.outcome()).attempt == 1


async def test_a_permanent_failure_leaves_no_dead_letter(client: Client) -> None:
    await (await client.submit("refuse this")).outcome(SECONDS)
    assert not await client.dead.list()


# Idempotency


async def test_one_key_is_one_job(client: Client) -> None:
    first = await client.submit("hello", idempotency_key="k")
    second = await client.submit("hello", idempotency_key="k")
    assert (first.id, first.existing, second.existing) == (second.id, False, True)
    assert (await second.result(SECONDS)).text == "hello"


async def test_a_key_still_holds_when_its_job_has_ended(client: Client) -> None:
    first = await client.generate("hello", idempotency_key="k", timeout_seconds=SECONDS)
    handle = await client.submit("hello", idempotency_key="k")
    assert handle.existing
    assert await handle.result(SECONDS) == first


async def test_two_tenants_share_no_key(bench: Bench, client: Client) -> None:
    mine = await client.submit("hello", idempotency_key="k")
    async with bench.client("its-neighbour") as other:
        theirs = await other.submit("hello", idempotency_key="k")
    assert mine.id != theirs.id


async def test_another_request_under_a_key_is_refused(client: Client) -> None:
    handle = await client.submit("never", idempotency_key="k")
    with pytest.raises(IdempotencyConflictError) as caught:
        await client.submit("something else", idempotency_key="k")
    assert (caught.value.key, caught.value.job_id) == ("k", handle.id)
    await handle.cancel()


async def test_a_key_schedules_once(client: Client) -> None:
    first = await client.submit("hello", delay_seconds=600, idempotency_key="k")
    second = await client.submit("hello", delay_seconds=600, idempotency_key="k")
    assert second.existing
    assert [job.job_id for job in await client.scheduled()] == [first.id]
    await first.cancel()


# Retries


async def test_a_retryable_failure_is_tried_again_and_its_history_told(client: Client) -> None:
    result = await client.generate(f"fail 2 engine_error {client}", retry=SOON, timeout_seconds=SECONDS)
    assert result.attempt == 3
    assert [(record.attempt, record.code) for record in result.attempts] == [
        (1, "engine_error"),
        (2, "engine_error"),
    ]
    assert all(record.waited_seconds == pytest.approx(0.1) for record in result.attempts)


async def test_a_job_is_tried_as_often_as_it_says(client: Client) -> None:
    handle = await client.submit(f"fail 9 engine_error {client}", retry={**SOON, "max_attempts": 2})
    assert await _error(handle) == (ErrorKind.RETRYABLE, "engine_error", None)
    outcome = await handle.outcome()
    assert (outcome.attempt, len(outcome.attempts)) == (2, 2)


async def test_a_job_that_is_given_up_leaves_a_dead_letter(client: Client, tenant: str) -> None:
    handle = await client.submit(f"fail 9 engine_error {client}", retry={**SOON, "max_attempts": 1})
    await handle.outcome(SECONDS)
    (letter,) = [letter for letter in await client.dead.list() if letter.tenant == tenant]
    assert (letter.job, letter.told.code, len(letter.told.attempts)) == (handle.id, "engine_error", 1)


async def test_a_job_may_wish_for_no_dead_letter(client: Client, tenant: str) -> None:
    wish = {**SOON, "max_attempts": 1, "dead_letter": False}
    await (await client.submit(f"fail 9 engine_error {client}", retry=wish)).outcome(SECONDS)
    assert not [letter for letter in await client.dead.list() if letter.tenant == tenant]


async def test_a_dead_job_is_redriven_under_a_new_id(client: Client, tenant: str) -> None:
    prompt = f"fail 1 engine_error {client}"
    handle = await client.submit(prompt, retry={**SOON, "max_attempts": 1})
    await handle.outcome(SECONDS)
    (letter,) = [letter for letter in await client.dead.list() if letter.tenant == tenant]
    report = await client.dead.redrive(letter.number)
    assert (report.outcome, report.new_job) == (RedriveOutcome.REDRIVEN, f"{handle.id}-r1")
    assert not [letter for letter in await client.dead.list() if letter.tenant == tenant]
    await client.handle(f"{handle.id}-r1").outcome(SECONDS)


# Time


async def test_a_delayed_job_waits_for_its_time(client: Client) -> None:
    before = time.time()
    handle = await client.submit("later", delay_seconds=600)
    (job,) = await client.scheduled()
    assert (job.job_id, job.attempt) == (handle.id, 1)
    assert job.at > before + 590
    assert not await handle.done()
    await handle.cancel()


async def test_a_delayed_job_is_answered_when_its_time_has_come(client: Client) -> None:
    handle = await client.submit("later", delay_seconds=0.3)
    assert (await handle.result(SECONDS)).text == "later"
    assert not await client.scheduled()


async def test_a_time_that_is_over_means_now(client: Client) -> None:
    handle = await client.submit("now", at=datetime.now(UTC) - timedelta(hours=1))
    assert (await handle.result(SECONDS)).text == "now"


async def test_a_job_that_runs_past_its_deadline_expires(client: Client) -> None:
    handle = await client.submit("never", deadline_seconds=0.5)
    with pytest.raises(JobExpiredError):
        await handle.result(SECONDS)
    outcome = await handle.outcome()
    assert (outcome.state, outcome.error, outcome.text) == (ResultState.EXPIRED, None, "")


async def test_a_job_whose_next_attempt_is_past_its_deadline_expires(client: Client) -> None:
    wish = {"base_seconds": 60, "cap_seconds": 60}
    handle = await client.submit(f"fail 9 engine_error {client}", retry=wish, deadline_seconds=0.5)
    assert (await handle.outcome(SECONDS)).state is ResultState.EXPIRED


async def test_a_deadline_before_the_start_is_refused(client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="would expire"):
        await client.submit("later", delay_seconds=60, deadline_seconds=30)


async def test_a_soft_run_limit_ends_a_run_with_what_it_has(client: Client) -> None:
    result = await client.generate("wait 60 seconds", run_limit_seconds=0.2, timeout_seconds=SECONDS)
    assert (result.state, result.finish_reason) == (ResultState.SUCCEEDED, "time")


async def test_a_hard_run_limit_fails_the_job(client: Client) -> None:
    handle = await client.submit("wait 60 seconds", run_limit_hard_seconds=0.2)
    assert await _error(handle) == (ErrorKind.PERMANENT, "run_limit", "run_limit_hard_seconds")


# Cancel


async def test_a_running_job_is_cancelled(client: Client) -> None:
    handle = await client.submit("never")
    assert await handle.cancel() is CancelOutcome.CANCELLED
    with pytest.raises(JobCancelledError):
        await handle.result(SECONDS)


async def test_a_scheduled_job_is_cancelled_and_leaves_the_schedule(
    client: Client, wait_until: Until
) -> None:
    handle = await client.submit("later", delay_seconds=600)
    assert await handle.cancel() is CancelOutcome.CANCELLED
    assert (await handle.outcome(SECONDS)).state is ResultState.CANCELLED

    async def gone() -> bool:
        return not await client.scheduled()

    await wait_until(gone)


async def test_a_job_that_waits_to_be_tried_again_is_cancelled(client: Client, wait_until: Until) -> None:
    handle = await client.submit(
        f"fail 9 engine_error {client}", retry={"base_seconds": 600, "cap_seconds": 600}
    )

    async def waits() -> bool:
        return [(job.job_id, job.attempt) for job in await client.scheduled()] == [(handle.id, 2)]

    await wait_until(waits)
    assert await handle.cancel() is CancelOutcome.CANCELLED
    assert (await handle.outcome(SECONDS)).state is ResultState.CANCELLED


async def test_a_job_that_has_ended_stays_as_it_ended(client: Client) -> None:
    handle = await client.submit("hello")
    await handle.result(SECONDS)
    assert await handle.cancel() is CancelOutcome.FINISHED
    assert (await handle.result(SECONDS)).text == "hello"


async def test_a_job_that_nobody_knows_is_unknown(client: Client) -> None:
    assert await client.handle("nobody-has-submitted-this").cancel() is CancelOutcome.UNKNOWN


async def test_a_second_cancel_comes_too_late(client: Client) -> None:
    handle = await client.submit("never")
    await handle.cancel()
    await handle.outcome(SECONDS)
    assert await handle.cancel() is CancelOutcome.FINISHED


async def test_many_are_cancelled_by_id_and_each_is_told(client: Client) -> None:
    running, ended = await client.submit("never"), await client.submit("hello")
    await ended.result(SECONDS)
    report = await client.cancel_many([running.id, ended.id])
    assert report.outcomes == {running.id: CancelOutcome.CANCELLED, ended.id: CancelOutcome.FINISHED}


async def test_jobs_are_cancelled_by_a_query(client: Client) -> None:
    bulk = await client.submit("later", lane="bulk", delay_seconds=600)
    other = await client.submit("later", delay_seconds=600)
    report = await client.cancel_where(CancelQuery(lane="bulk"))
    assert dict(report.outcomes) == {bulk.id: CancelOutcome.CANCELLED}
    assert not await other.done()
    await other.cancel()


# Streams


async def test_events_come_in_order_and_make_up_the_answer(client: Client) -> None:
    handle = await client.submit("tell me a story", stream=True)
    events = [event async for event in handle.events(timeout_seconds=SECONDS)]
    assert (events[0].kind, events[-1].kind) == (EventKind.STARTED, EventKind.ENDED)
    assert events[-1].state is ResultState.SUCCEEDED
    tokens = [event for event in events if event.kind is EventKind.TOKENS]
    assert "".join(event.text for event in tokens) == "tell me a story"
    places = [event.sequence for event in events]
    assert places == sorted(places)


async def test_a_reader_goes_on_behind_an_event(bench: Bench, client: Client, tenant: str) -> None:
    handle = await client.submit("tell me a story", stream=True)
    events = [event async for event in handle.events(timeout_seconds=SECONDS)]
    first = next(event for event in events if event.kind is EventKind.TOKENS)
    async with bench.client(tenant) as other:
        again = other.handle(handle.id).events(after=first.sequence, timeout_seconds=SECONDS)
        rest = "".join([event.text async for event in again])
    assert first.text + rest == "tell me a story"


async def test_a_job_that_is_not_streamed_has_its_text_in_one_piece(client: Client) -> None:
    handle = await client.submit("hello")
    events = [event async for event in handle.events(timeout_seconds=SECONDS)]
    assert [(event.kind, event.text) for event in events] == [
        (EventKind.TOKENS, "hello"),
        (EventKind.ENDED, ""),
    ]


async def test_a_stream_gives_the_answer_in_pieces(client: Client) -> None:
    pieces = [piece async for piece in client.stream("tell me a story", timeout_seconds=SECONDS)]
    assert "".join(pieces) == "tell me a story"


async def test_a_stream_of_a_job_that_fails_raises_at_its_end(client: Client) -> None:
    with pytest.raises(JobFailedError):
        async for _ in client.stream("refuse this", timeout_seconds=SECONDS):
            pass


async def test_a_streamed_job_that_is_cancelled_says_so_at_its_end(client: Client) -> None:
    handle = await client.submit("never", stream=True)
    await handle.cancel()
    events = [event async for event in handle.events(timeout_seconds=SECONDS)]
    assert (events[-1].kind, events[-1].state) == (EventKind.ENDED, ResultState.CANCELLED)


# Many jobs


async def test_a_bad_request_harms_no_other(client: Client) -> None:
    requests = [GenerateRequest("one"), GenerateRequest("two", temperature=-1.0), GenerateRequest("three")]
    one, two, three = (await client.submit_many(requests)).entries
    assert isinstance(two, InvalidRequestError)
    for entry, text in ((one, "one"), (three, "three")):
        assert isinstance(entry, JobHandle)
        assert (await entry.result(SECONDS)).text == text


async def test_an_atomic_batch_is_taken_whole(client: Client) -> None:
    report = await client.submit_many([GenerateRequest(f"job {n}") for n in range(10)], atomic=True)
    texts = [(await entry.result(SECONDS)).text for entry in report.entries if isinstance(entry, JobHandle)]
    assert texts == [f"job {n}" for n in range(10)]


async def test_an_atomic_batch_with_a_bad_request_is_not_taken(client: Client) -> None:
    requests = [GenerateRequest("one"), GenerateRequest("two", temperature=-1.0)]
    one, two = (await client.submit_many(requests, atomic=True)).entries
    assert isinstance(one, NotSentError)
    assert isinstance(two, InvalidRequestError)


async def test_an_atomic_batch_knows_the_keys_that_were_submitted_before(client: Client) -> None:
    before = await client.submit("never", idempotency_key="k")
    requests = [GenerateRequest("never", idempotency_key="k"), GenerateRequest("two")]
    one, two = (await client.submit_many(requests, atomic=True)).entries
    assert isinstance(one, JobHandle)
    assert isinstance(two, JobHandle)
    assert (one.id, one.existing) == (before.id, True)
    assert (await two.result(SECONDS)).text == "two"
    await before.cancel()


async def test_hundreds_of_jobs_are_answered_each_with_its_own_text(client: Client) -> None:
    report = await client.submit_many([GenerateRequest(f"job {number}") for number in range(300)])
    assert not [entry for entry in report.entries if isinstance(entry, LorayardError)]
    handles = [entry for entry in report.entries if isinstance(entry, JobHandle)]
    results = await asyncio.gather(*(handle.result(SECONDS) for handle in handles))
    assert [result.text for result in results] == [f"job {number}" for number in range(300)]


async def test_results_come_as_they_end(client: Client) -> None:
    slow, fast = await client.submit("wait 0.5 then answer"), await client.submit("fast")
    order = [handle.id async for handle in client.as_completed([slow, fast], timeout_seconds=SECONDS)]
    assert order == [fast.id, slow.id]


async def test_a_wait_tells_who_has_ended(client: Client) -> None:
    never, fast = await client.submit("never"), await client.submit("fast")
    report = await client.wait([never, fast], timeout_seconds=SECONDS, return_when="first_completed")
    assert ([handle.id for handle in report.done], [handle.id for handle in report.pending]) == (
        [fast.id],
        [never.id],
    )
    await never.cancel()


async def test_a_map_gives_each_prompt_its_answer(client: Client) -> None:
    texts = [item.result.text async for item in client.map(["one", "two", "three"]) if item.result]
    assert texts == ["one", "two", "three"]


async def test_the_queue_is_told_by_lane(client: Client, tenant: str) -> None:
    never = await client.submit("never", lane="bulk")
    depth = await client.queue_depth()
    mine = {address.lane: count for address, count in depth.unfinished.items() if address.tenant == tenant}
    assert mine == {"bulk": 1}
    await never.cancel()
