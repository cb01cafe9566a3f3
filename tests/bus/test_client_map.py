"""Many prompts, so many at a time, and waiting for several jobs (E2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

import pytest
from tests.bus.conftest import Yard

from lorayard import (
    CancelOutcome,
    Client,
    ClientClosedError,
    GenerateRequest,
    InvalidRequestError,
    JobCancelledError,
    JobFailedError,
    JobTimeoutError,
    MapItem,
    ReturnWhen,
    SyncClient,
)
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

ANSWERED = 200


@pytest.fixture
async def client(yard: Yard, settings: YardSettings) -> AsyncIterator[Client]:
    """Of a yard with nobody in it yet."""
    async with Client(settings=settings, tenant="acme") as client:
        yield client


async def answering(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()


def texts(items: list[MapItem]) -> list[str]:
    return [item.answer().text for item in items]


async def test_answers_come_in_the_order_of_their_prompts__e2(yard: Yard, client: Client) -> None:
    await answering(yard)
    prompts = [f"text {number}" for number in range(ANSWERED)]
    items = [item async for item in client.map(prompts, concurrency=32)]
    assert texts(items) == prompts
    assert [item.place for item in items] == list(range(ANSWERED))


async def test_unordered_ones_come_as_they_are_answered__e2(yard: Yard, client: Client) -> None:
    await client.control.pause("lane", "bulk", reason="until the others have come")
    await answering(yard)
    slow = GenerateRequest("slow", lane="bulk")
    prompts: list[str | GenerateRequest] = [slow, "a", "b"]
    items: list[MapItem] = []
    async for item in client.map(prompts, ordered=False):
        items.append(item)
        if len(items) == 2:
            await client.control.resume("lane", "bulk")
    assert set(texts(items[:2])) == {"a", "b"}
    assert texts(items[2:]) == ["slow"]


async def test_one_without_an_answer_says_why_and_ends_no_other__e2__g3(yard: Yard, client: Client) -> None:
    await answering(yard)
    prompts: list[str | GenerateRequest] = ["a", GenerateRequest("b", adapter="acme/tiny/nobody"), "", "c"]
    items = [item async for item in client.map(prompts)]
    assert [item.result is not None for item in items] == [True, False, False, True]
    assert isinstance(items[1].error, JobFailedError)
    assert items[1].error.code == "unknown_adapter"
    assert isinstance(items[2].error, InvalidRequestError)
    assert (items[2].job_id, items[2].error.field) == (None, "prompt")
    with pytest.raises(JobFailedError):
        items[1].answer()


async def test_an_endless_source_is_read_no_faster_than_its_answers__e2__e5(
    yard: Yard, client: Client
) -> None:
    await answering(yard)
    taken = 0

    async def endless() -> AsyncGenerator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"{taken}"

    read = 0
    async with aclosing(client.map(endless(), concurrency=8)) as items:
        async for item in items:
            read += 1
            assert item.answer().text == f"{read}"
            assert taken <= read + 9  # eight under way, and one in hand
            if read == 40:
                break


@pytest.mark.parametrize("cancel_rest", [True, False])
async def test_what_nobody_reads_any_more_goes_on_or_is_cancelled__e4(
    yard: Yard, client: Client, cancel_rest: bool
) -> None:
    await yard.dispatcher()
    later = [GenerateRequest(f"{number}", delay_seconds=600) for number in range(3)]
    prompts = [GenerateRequest("now", adapter="acme/tiny/nobody"), *later]
    await yard.worker()
    async with aclosing(client.map(prompts, cancel_rest=cancel_rest, ordered=False)) as items:
        async for item in items:
            assert isinstance(item.error, JobFailedError)
            break
    assert len(await client.scheduled()) == (0 if cancel_rest else 3)


async def test_the_sources_own_error_comes_after_the_answers_before_it__e2(
    yard: Yard, client: Client
) -> None:
    await answering(yard)

    def broken() -> Iterator[str]:
        yield "a"
        yield "b"
        raise ZeroDivisionError

    read: list[MapItem] = []

    async def run() -> None:
        async for item in client.map(broken(), concurrency=1):
            read.append(item)  # noqa: PERF401  # what came before the error counts

    with pytest.raises(ZeroDivisionError):
        await run()
    assert texts(read) == ["a", "b"]


async def test_a_closed_client_ends_the_map__e2(client: Client) -> None:
    items = client.map(["a"])

    async def read() -> None:
        async for _ in items:
            pytest.fail("nobody answers")

    reading = asyncio.create_task(read())
    async with asyncio.timeout(60):
        while not (await client.queue_depth()).unfinished:  # noqa: ASYNC110  # the yard's, not ours
            await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ClientClosedError):
            await reading


async def test_an_item_that_takes_too_long_is_given_up_alone__e2(client: Client) -> None:
    (item,) = [item async for item in client.map(["a"], timeout_seconds=0.01)]
    assert isinstance(item.error, JobTimeoutError)
    assert item.job_id is not None


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("concurrency", {"concurrency": 0}),
        ("concurrency", {"concurrency": 10_001}),
        ("idempotency_key", {"idempotency_key": "k"}),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_read__g3(
    client: Client, field: str, options: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequestError) as error:
        client.map(iter(()), **options)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # as untyped callers
    assert error.value.field == field


async def test_the_blocking_map_reads_its_source_in_the_callers_thread__e2(
    yard: Yard, settings: YardSettings
) -> None:
    await answering(yard)

    def run() -> list[str]:
        with SyncClient(settings=settings, tenant="acme") as blocking:
            prompts = (blocking.generate(f"{number}").text for number in range(20))  # uses the client itself
            return [item.answer().text for item in blocking.map(prompts, concurrency=4)]

    assert await asyncio.to_thread(run) == [f"{number}" for number in range(20)]


async def test_a_wait_tells_which_have_ended__e2(yard: Yard, client: Client) -> None:
    later = await client.submit("later", delay_seconds=600)
    await answering(yard)
    now, bad = await client.submit("now"), await client.submit("bad", adapter="acme/tiny/nobody")
    report = await client.wait([later, now], return_when=ReturnWhen.FIRST_COMPLETED)
    assert (report.done, report.pending) == ([now], [later])
    report = await client.wait([later, bad], return_when="first_exception")
    assert (report.done, report.pending) == ([bad], [later])
    report = await client.wait([later], timeout_seconds=0.01)
    assert (report.done, report.pending) == ([], [later])
    assert await later.cancel() is CancelOutcome.CANCELLED
    assert (await client.wait([later, now, bad])).pending == []
    assert (await client.wait([])).done == []
    with pytest.raises(InvalidRequestError):
        await client.wait([now], return_when="some")


async def test_jobs_come_in_the_order_in_which_they_end__e2(yard: Yard, client: Client) -> None:
    later = await client.submit("later", delay_seconds=600)
    await answering(yard)
    now = await client.submit("now")
    ended = []
    async with aclosing(client.as_completed([later, now])) as handles:
        async for handle in handles:
            ended.append(handle)
            if handle is now:
                await later.cancel()
    assert ended == [now, later]
    with pytest.raises(JobCancelledError):
        await later
    ends = client.as_completed([await client.submit("x", delay_seconds=600)], timeout_seconds=0.01)
    with pytest.raises(JobTimeoutError):
        await anext(ends)


async def test_the_blocking_client_waits_for_its_own_handles__e2(yard: Yard, settings: YardSettings) -> None:
    await answering(yard)

    def run() -> None:
        with SyncClient(settings=settings, tenant="acme") as blocking:
            handles = [blocking.submit(f"{number}") for number in range(3)]
            assert blocking.wait(handles).done == handles
            assert set(blocking.as_completed(handles)) == set(handles)

    await asyncio.to_thread(run)
