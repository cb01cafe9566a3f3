"""What every yard does, whatever it is made of: one job, what is refused, keys, attempts."""

from __future__ import annotations

import asyncio

import pytest
from tests.conformance.conftest import SECONDS, SOON, Bench, failure_of

from lorayard import (
    Client,
    ClientClosedError,
    IdempotencyConflictError,
    InvalidRequestError,
    JobFailedError,
    JobTimeoutError,
    PayloadTooLargeError,
    RedriveOutcome,
    ResultState,
)
from lorayard_schemas.result import ErrorKind

LONG_PROMPT = "long " * 150_000
"""More than a message carries."""


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
    assert await failure_of(handle) == (ErrorKind.PERMANENT, "bad_prompt", "prompt")
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
    assert await failure_of(handle) == (ErrorKind.RETRYABLE, "engine_error", None)
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
