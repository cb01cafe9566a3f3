"""What every yard does, whatever it is made of: streams, and many jobs at once."""

from __future__ import annotations

import asyncio

import pytest
from tests.conformance.conftest import SECONDS, Bench

from lorayard import (
    Client,
    EventKind,
    GenerateRequest,
    InvalidRequestError,
    JobFailedError,
    JobHandle,
    LorayardError,
    NotSentError,
    ResultState,
)

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
    slow, fast = await client.submit("never"), await client.submit("fast")
    order: list[str] = []
    async for handle in client.as_completed([slow, fast], timeout_seconds=SECONDS):
        order.append(handle.id)
        if handle is fast:
            await slow.cancel()
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
