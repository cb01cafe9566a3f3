"""The tour: what a yard does for a backend service, one concept at a time, by the public client alone."""

from __future__ import annotations

import asyncio

import pytest

from lorayard import (
    CancelOutcome,
    Client,
    GenerateRequest,
    InvalidRequestError,
    JobCancelledError,
    JobExpiredError,
    JobFailedError,
    SyncClient,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]


async def test_a_prompt_is_answered_by_the_adapter_it_names(yard_url: str) -> None:
    """B1, A3: and the answer says which version and weights made it, where, and at what cost."""
    async with Client(yard_url) as yard:
        result = await yard.generate("hello", adapter="acme/tiny/a", max_new_tokens=8)

    assert result.adapter == "acme/tiny/a"
    assert result.version == "1"
    assert result.digest is not None
    assert result.digest.startswith("sha256:")
    assert result.worker == "w1"
    assert result.rule == "explicit"
    assert result.usage.completion_tokens <= 8
    assert result.timings.total_ms > 0


async def test_different_adapters_answer_differently(yard_url: str) -> None:
    """C5: the same prompt, four answers, in one mixed batch."""
    adapters = ["acme/tiny/a", "acme/tiny/b", "acme/tiny/c", None]
    async with Client(yard_url) as yard:
        results = await asyncio.gather(
            *(yard.generate("tell me", adapter=name, max_new_tokens=12) for name in adapters)
        )

    assert len({result.text for result in results}) == 4


async def test_without_an_adapter_the_base_model_answers(yard_url: str) -> None:
    """B1: no explicit adapter and no default: the base model, and the answer says so."""
    async with Client(yard_url) as yard:
        result = await yard.generate("hello", max_new_tokens=4)

    assert result.adapter is None
    assert result.rule == "base"
    assert result.tier == "none"


async def test_a_handle_can_be_made_again_from_its_id_in_another_process(yard_url: str) -> None:
    """E2: submit here, fetch there, later."""
    async with Client(yard_url) as yard:
        handle = await yard.submit("hello", adapter="acme/tiny/b", max_new_tokens=4)
        here = await handle
    async with Client(yard_url) as elsewhere:
        there = await elsewhere.handle(handle.id)

    assert there.text == here.text


async def test_the_same_key_is_the_same_job(yard_url: str) -> None:
    """E4: a publisher that is not sure may submit again."""
    async with Client(yard_url) as yard:
        first = await yard.submit("hello", idempotency_key="order-17", max_new_tokens=4)
        again = await yard.submit("hello", idempotency_key="order-17", max_new_tokens=4)

        assert again.id == first.id
        assert (await again).text == (await first).text


async def test_many_at_once_come_back_each_with_its_own_answer(yard_url: str) -> None:
    """E2: one call, one entry per request, and a bad one harms no other."""
    requests = [
        GenerateRequest(prompt=f"number {n}", adapter="acme/tiny/a", max_new_tokens=4) for n in range(20)
    ]
    requests[7] = GenerateRequest(prompt="x", adapter="Not An Adapter")
    async with Client(yard_url) as yard:
        report = await yard.submit_many(requests)
        results = await asyncio.gather(*report.handles)

    assert [index for index, _ in report.errors] == [7]
    assert len(results) == 19


async def test_a_waiting_or_running_job_can_be_cancelled(yard_url: str) -> None:
    """E4: its one answer is then that it was cancelled."""
    async with Client(yard_url) as yard:
        handle = await yard.submit("hello", adapter="acme/tiny/c", max_new_tokens=1500)
        assert await handle.cancel() is CancelOutcome.CANCELLED
        with pytest.raises(JobCancelledError):
            await handle


async def test_a_job_past_its_deadline_is_not_run(yard_url: str) -> None:
    """E4: a late answer is no answer."""
    async with Client(yard_url) as yard:
        handle = await yard.submit("hello", deadline_seconds=0.001, max_new_tokens=1500)
        with pytest.raises(JobExpiredError):
            await handle


async def test_an_unknown_adapter_is_answered_with_its_name(yard_url: str) -> None:
    """G3: not a time-out, and not the base model's answer in disguise."""
    async with Client(yard_url) as yard:
        with pytest.raises(JobFailedError) as failure:
            await yard.generate("hello", adapter="acme/tiny/nobody")

    assert failure.value.code == "unknown_adapter"
    assert failure.value.field == "adapter"
    assert "acme/tiny/nobody" in failure.value.message


async def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(yard_url: str) -> None:
    """G3: the model's context is 2,048 tokens."""
    async with Client(yard_url) as yard:
        with pytest.raises(JobFailedError) as failure:
            await yard.generate("hello " * 2000)

    assert failure.value.code == "prompt_too_long"
    assert "2048" in failure.value.message


async def test_a_bad_field_is_named_before_anything_is_published(yard_url: str) -> None:
    """G3: the caller's own mistake never travels."""
    async with Client(yard_url) as yard:
        with pytest.raises(InvalidRequestError) as failure:
            await yard.generate("hello", temperature=-1)

    assert failure.value.field == "temperature"


def test_all_of_it_works_without_asyncio(yard_url: str) -> None:
    """E2: the sync twin."""
    with SyncClient(yard_url) as yard:
        assert yard.generate("hello", adapter="acme/tiny/a", max_new_tokens=4).adapter == "acme/tiny/a"
        handle = yard.submit("hello", max_new_tokens=4)
        assert handle.result().succeeded


async def test_the_yard_can_be_looked_at(yard_url: str) -> None:
    """A4, A5: which adapters there are, which worker holds them, and what waits."""
    async with Client(yard_url) as yard:
        await yard.generate("hello", adapter="acme/tiny/a", max_new_tokens=2)
        names = {record.name for record in await yard.adapters()}
        workers = await yard.workers()

    assert names == {"acme/tiny/a", "acme/tiny/b", "acme/tiny/c"}
    assert [worker.worker for worker in workers] == ["w1"]
    assert workers[0].slot_count == 2
