"""A job's tokens as they come: heard, resumed, and always whole at the end (C12, E2, E4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.bus.conftest import Yard
from tests.bus.streams.conftest import Reader, Writing, told

from lorayard import (
    Client,
    EventKind,
    InvalidRequestError,
    JobCancelledError,
    JobHandle,
    JobTimeoutError,
    ResultState,
    SyncClient,
)
from lorayard_schemas.codec import decode
from lorayard_schemas.token_event import TokenEvent
from lorayard_shared.bus.connection import Bus
from lorayard_workers.engine.outcome import Cancelled

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


async def test_text_is_heard_while_it_is_written__c12(
    client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle, reader = await told(client, writing, wait_until, "Grü")
    assert not await handle.done()
    writing.say("tell", "ße")
    await wait_until(lambda: reader.text == "Grüße")
    writing.end("tell")
    await reader.end()
    assert reader.kinds == [EventKind.STARTED, EventKind.TOKENS, EventKind.ENDED]
    assert (await handle).text == reader.text == "Grüße"
    assert (reader.heard[-1].state, reader.heard[0].worker) == (ResultState.SUCCEEDED, "w1")
    tokens = [event for event in reader.heard if event.kind is EventKind.TOKENS]
    assert [(event.index, event.tokens) for event in tokens] == [(0, 3), (3, 2)]


async def test_a_prompt_that_takes_several_steps_shows_its_progress__e4(
    client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle = await client.submit("long", stream=True)
    reader = Reader(handle)
    await wait_until(lambda: "long" in writing)
    writing.read("long", 512, of=2048)
    await wait_until(lambda: EventKind.PROGRESS in reader.kinds)
    assert (reader.heard[-1].prompt_done, reader.heard[-1].prompt_tokens) == (512, 2048)
    writing.end("long")
    await reader.end()


async def test_a_job_that_did_not_ask_costs_the_bus_nothing_and_has_its_text_at_the_end(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle = await client.submit("quiet")
    reader = Reader(handle)
    await wait_until(lambda: "quiet" in writing)
    assert not writing.streams("quiet")
    writing.say("quiet", "all at once")
    writing.end("quiet")
    await reader.end()
    assert (reader.kinds, reader.text) == ([EventKind.TOKENS, EventKind.ENDED], "all at once")
    assert await yard.left("tokens") == 0


async def test_any_process_goes_on_behind_any_event__e4(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle, reader = await told(client, writing, wait_until, "one ", "two ", "three ", "four ")
    async with Client(settings=yard.settings) as other:
        readers = [Reader(other.handle(handle.id), after=event.sequence) for event in reader.heard]
        await wait_until(lambda: readers[0].text == reader.text)
        writing.say("tell", "five")
        writing.end("tell")
        await asyncio.gather(reader.end(), *(later.end() for later in readers))
    assert reader.text == "one two three four five"
    for at, later in enumerate(readers):
        behind = reader.heard[at + 1 :]
        assert [event.sequence for event in later.heard][:-1] == [event.sequence for event in behind][:-1]
        assert later.text == "".join(event.text for event in behind)


async def test_whoever_looks_after_the_end_hears_all_of_it(
    client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle = await client.submit("tell", stream=True)
    await wait_until(lambda: "tell" in writing)
    writing.say("tell", "over ")
    writing.say("tell", "and out")
    writing.end("tell")
    await handle
    reader = Reader(client.handle(handle.id))
    await reader.end()
    assert (reader.text, reader.kinds[-1]) == ("over and out", EventKind.ENDED)
    again = Reader(client.handle(handle.id), after=reader.heard[-1].sequence)
    await again.end()
    assert again.kinds == [EventKind.ENDED]


async def test_what_left_the_stream_is_told_from_the_result(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle, reader = await told(client, writing, wait_until, "gone ")
    await yard.bus.api(f"STREAM.PURGE.{yard.bus.subjects.stream('tokens')}")
    resumed = Reader(client.handle(handle.id), after=reader.heard[-1].sequence)
    late = Reader(client.handle(handle.id))
    writing.say("tell", "but not lost")
    writing.end("tell")
    await asyncio.gather(reader.end(), resumed.end(), late.end())
    assert reader.text == resumed.text == late.text == "gone but not lost"
    assert resumed.kinds[0] is EventKind.RESTARTED, "it cannot know what its reader has"
    assert EventKind.RESTARTED not in reader.kinds


async def test_a_sequence_of_another_job_is_no_place_to_go_on(
    client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    one, two = [await client.submit(name, stream=True) for name in ("one", "two")]
    await wait_until(lambda: "one" in writing and "two" in writing)
    writing.say("one", "first")
    writing.end("one")
    writing.say("two", "second")
    writing.end("two")
    first = Reader(one)
    await first.end()
    second = Reader(two, after=first.heard[0].sequence)
    await second.end()
    assert (second.kinds[0], second.text) == (EventKind.RESTARTED, "second")
    for bad in (-1, True, "7", 2**63):
        with pytest.raises(InvalidRequestError, match="after"):
            one.events(after=bad)  # type: ignore[arg-type]  # as untyped callers may


async def test_a_cancel_ends_the_stream_and_leaves_what_was_heard(
    client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle, reader = await told(client, writing, wait_until, "half a sen")
    await handle.cancel()
    await reader.end()
    assert (reader.text, reader.heard[-1].state) == ("half a sen", ResultState.CANCELLED)
    with pytest.raises(JobCancelledError):
        await handle


async def test_a_stream_is_text_and_then_the_error_of_the_job(
    client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    heard: list[str] = []

    async def read(prompt: str) -> None:
        async for piece in client.stream(prompt):
            heard.append(piece)  # noqa: PERF401  # one by one: it is looked at meanwhile

    reading = asyncio.create_task(read("tell"))
    await wait_until(lambda: "tell" in writing)
    writing.say("tell", "Hello ")
    await wait_until(lambda: heard == ["Hello "])
    writing.say("tell", "world")
    writing.end("tell")
    await reading
    assert "".join(heard) == "Hello world"
    reading = asyncio.create_task(read("bad"))
    await wait_until(lambda: "bad" in writing)
    writing.end("bad", Cancelled(request_id=writing.key("bad")))
    with pytest.raises(JobCancelledError):
        await reading


async def test_a_reader_waits_no_longer_than_it_says(
    client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle = await client.submit("tell", stream=True)
    with pytest.raises(JobTimeoutError, match=handle.id):
        async for _ in handle.events(timeout_seconds=0.05):
            pass
    await wait_until(lambda: "tell" in writing)
    writing.end("tell")


async def test_a_reader_that_leaves_leaves_nothing_on_the_server(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle = await client.submit("tell", stream=True)
    subject = yard.bus.subjects.told("default", handle.id)
    reader = Reader(handle)
    await wait_until(lambda: reader.heard)
    await reader.leave()

    async def nobody_listens() -> bool:
        info = await yard.bus.api(f"STREAM.INFO.{yard.bus.subjects.stream('tokens')}")
        assert info["state"]["consumer_count"] == 0
        return not client._open_link.bus.nc._subs or subject not in {  # pyright: ignore[reportPrivateUsage]  # what nats-py holds
            sub.subject
            for sub in client._open_link.bus.nc._subs.values()  # pyright: ignore[reportPrivateUsage]
        }

    await wait_until(nobody_listens)
    writing.end("tell")
    await handle


async def test_the_blocking_client_reads_the_same(
    yard: Yard, writing: Writing, wait_until: WaitUntil
) -> None:
    def read() -> tuple[str, list[EventKind], str]:
        with SyncClient(settings=yard.settings) as client:
            text = "".join(client.stream("first"))
            handle = client.submit("second", stream=True)
            events = list(handle.events())
            return text, [event.kind for event in events], "".join(handle.text_stream())

    reading = asyncio.create_task(asyncio.to_thread(read))
    for prompt in ("first", "second"):
        await wait_until(lambda: prompt in writing)  # noqa: B023
        writing.say(prompt, f"the {prompt}")
        writing.end(prompt)
    text, kinds, second = await reading
    assert (text, second) == ("the first", "the second")
    assert (kinds[0], kinds[-1]) == (EventKind.STARTED, EventKind.ENDED)


async def test_a_tenant_hears_only_its_own_job_of_the_same_id(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle = await client.submit("secret", stream=True)
    async with Client(settings=yard.settings, tenant="other") as other:
        spy = Reader(other.handle(handle.id))
        reader = Reader(handle)
        await wait_until(lambda: "secret" in writing)
        writing.say("secret", "mine")
        writing.end("secret")
        await reader.end()
        assert reader.text == "mine"
        assert spy.heard == []
        await spy.leave()


async def test_two_hundred_streams_at_once_are_each_their_own(yard: Yard, client: Client) -> None:
    await yard.dispatcher()
    for name in ("w1", "w2"):
        await yard.worker(name)
    handles = [await client.submit(f"prompt {number}", stream=True) for number in range(200)]

    async def whole(handle: JobHandle) -> str:
        return "".join([piece async for piece in handle.text_stream()])

    texts = await asyncio.gather(*map(whole, handles))
    assert texts == [f"prompt {number}" for number in range(200)]


async def test_every_event_on_the_bus_is_as_its_schema_says(
    yard: Yard, bus: Bus, client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle = await client.submit("tell", stream=True)
    await wait_until(lambda: "tell" in writing)
    writing.read("tell", 1, of=2)
    writing.say("tell", "é")
    writing.end("tell")
    await handle
    await wait_until(lambda: _ended(yard))
    told = [
        decode(TokenEvent, (await bus.js.get_msg(bus.subjects.stream("tokens"), number)).data or b"")
        for number in range(1, await yard.left("tokens") + 1)
    ]
    assert [event.kind for event in told] == [EventKind.STARTED, EventKind.TOKENS, EventKind.ENDED]
    assert {(event.job, event.worker, event.attempt, event.deliveries) for event in told} == {
        (handle.id, "w1", 1, 1)
    }
    assert (told[1].text, told[2].offset_bytes, told[2].state) == ("é", 2, ResultState.SUCCEEDED)


async def _ended(yard: Yard) -> bool:
    return await yard.left("tokens") == 3
