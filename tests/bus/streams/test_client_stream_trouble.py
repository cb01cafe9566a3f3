"""Whatever dies, fills up, lags or lies: a streamed job's text is right at the end (C12, E4, G1, G2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import RunningServer, Yard
from tests.bus.streams.conftest import Reader, Writing, told

import lorayard.streaming.follower
import lorayard.streaming.live_feed
from lorayard import Client, ClientClosedError, EventKind, RequestOptions, StreamRestartedError
from lorayard_schemas.codec import encode
from lorayard_schemas.token_event import TokenEvent
from lorayard_workers.base_model import Precision
from lorayard_workers.engine.config import EngineConfig
from lorayard_workers.engine.packed import PackedEngine
from lorayard_workers.errors import EngineDiedError
from lorayard_workers.tiny_model import make_tiny_model

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

BIG = "0123456789" * 20


async def change_tokens(yard: Yard, **config: Any) -> None:
    """Change the stream of tokens, as an operator might."""
    stream = yard.bus.subjects.stream("tokens")
    now = (await yard.bus.api(f"STREAM.INFO.{stream}"))["config"]
    changed = {**now, **config}
    await yard.bus.api(f"STREAM.UPDATE.{stream}", {k: v for k, v in changed.items() if v is not None})


async def test_a_stream_goes_on_over_a_restart_of_the_server__g2(
    own_yard: Yard, own_server: RunningServer, wait_until: WaitUntil
) -> None:
    writing = Writing()
    await own_yard.dispatcher()
    await own_yard.worker(engine=writing)
    async with Client(settings=own_yard.settings) as client:
        handle, reader = await told(client, writing, wait_until, "before ", "the end ")
        own_server.kill()
        writing.say("tell", "while ")
        own_server.start()
        writing.say("tell", "away ")
        await wait_until(lambda: reader.text == "before the end while away ")
        resumed = Reader(client.handle(handle.id), after=reader.heard[1].sequence)
        writing.say("tell", "after")
        writing.end("tell")
        await asyncio.gather(reader.end(), resumed.end())
    assert reader.text == "before the end while away after"
    assert resumed.text == "the end while away after"
    assert EventKind.RESTARTED not in (*reader.kinds, *resumed.kinds)


async def test_when_a_worker_dies_another_begins_anew__g1(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    first, second = Writing(), Writing()
    await yard.dispatcher()
    broken = await yard.worker("w1", engine=first)
    handle = await client.submit("tell", stream=True)
    reader, pieces = Reader(handle), list[str]()

    async def read() -> None:
        async for piece in handle.text_stream():
            pieces.append(piece)  # it is looked at meanwhile

    reading = asyncio.create_task(read())
    await wait_until(lambda: "tell" in first)
    first.say("tell", "Once upon")
    await wait_until(lambda: reader.text == "".join(pieces) == "Once upon")
    await yard.worker("w2", engine=second)
    first.died = True
    await wait_until(lambda: "tell" in second)
    second.say("tell", "Once")
    await wait_until(lambda: reader.text == "Once")
    second.say("tell", " upon a time")
    second.end("tell")
    await reader.end()
    await reading
    assert reader.kinds == [
        EventKind.STARTED,
        EventKind.TOKENS,
        EventKind.RESTARTED,
        EventKind.TOKENS,
        EventKind.ENDED,
    ]
    assert reader.heard[-1].worker == "w2"
    assert "".join(pieces) == "Once upon a time", "the same text again is not said again"
    with pytest.raises(EngineDiedError):
        await broken.stop()


async def test_text_that_cannot_be_taken_back_is_an_error(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    handle = await client.submit("tell", stream=True)
    stream = handle.text_stream()
    await wait_until(lambda: "tell" in writing)
    writing.say("tell", "heads")
    assert await anext(stream) == "heads"
    subject = yard.bus.subjects.token_events("default", handle.id)
    for text in ("hea", "then tails"):
        event = TokenEvent(job=handle.id, kind=EventKind.TOKENS, worker="w9", attempt=2, text=text)
        await yard.bus.js.publish(subject, encode(event))
    with pytest.raises(StreamRestartedError, match=handle.id) as caught:
        await anext(stream)
    assert caught.value.text == "heads"
    writing.end("tell")


async def test_what_another_says_of_the_job_changes_nothing(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    """A holder that lost the job, a stranger, and bytes that are no event."""
    handle, reader = await told(client, writing, wait_until, "right")
    subject = yard.bus.subjects.token_events("default", handle.id)
    late = TokenEvent(
        job=handle.id, kind=EventKind.TOKENS, worker="w0", attempt=1, text=" wrong", offset_bytes=5
    )
    ended = late.model_copy(update={"kind": EventKind.ENDED})
    for body in (encode(late), encode(ended), b"\xc1", b"{}"):
        await yard.bus.js.publish(subject, body)
    writing.say("tell", " as well")
    await wait_until(lambda: reader.text == "right as well")
    writing.end("tell")
    await reader.end()
    assert EventKind.RESTARTED not in reader.kinds


async def test_a_full_stream_loses_no_text__g2(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil
) -> None:
    """What the server refuses is told whole once there is room, and else by the result."""
    mended, ended = [await client.submit(name, stream=True) for name in ("mended", "ended")]
    readers = Reader(mended), Reader(ended)
    await wait_until(lambda: all(reader.kinds == [EventKind.STARTED] for reader in readers))
    await change_tokens(yard, discard="new", max_bytes=None, max_msgs=2)
    for name in ("mended", "ended"):
        writing.say(name, "refused ")
    writing.say("ended", "for good")
    writing.end("ended")
    await readers[1].end()
    assert readers[1].text == "refused for good"
    assert readers[0].text == ""
    await change_tokens(yard, max_msgs=-1)
    await wait_until(lambda: readers[0].text == "refused ")
    writing.say("mended", "for a while")
    await wait_until(lambda: readers[0].text == "refused for a while")
    writing.end("mended")
    await readers[0].end()


async def test_a_reader_that_does_not_read_costs_its_client_little_and_misses_nothing(
    client: Client, writing: Writing, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lorayard.streaming.live_feed, "MAX_BYTES", 1000)
    handle = await client.submit("tell", stream=True)
    slow, events = Reader(handle), handle.events()
    await wait_until(lambda: "tell" in writing)
    text = ""
    assert (await anext(events)).kind is EventKind.STARTED
    for _ in range(12):
        writing.say("tell", BIG)
        text += BIG
        await wait_until(lambda: slow.text == text)  # noqa: B023
    writing.end("tell")
    await slow.end()
    assert "".join([event.text async for event in events]) == text


async def test_a_yard_that_announces_nothing_is_read_from_its_stream(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was declared before there were announcements."""
    monkeypatch.setattr(lorayard.streaming.follower, "FIRST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(lorayard.streaming.follower, "DEAF_LOOK_SECONDS", 0.05)
    await change_tokens(yard, republish=None)
    handle, reader = await told(client, writing, wait_until, "looked ", "for")
    assert not await handle.done()
    writing.end("tell")
    await reader.end()


async def test_an_announcement_that_was_lost_is_read_from_the_stream_when_the_next_one_comes(
    yard: Yard, client: Client, writing: Writing, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lorayard.streaming.follower, "FIRST_LOOK_SECONDS", 3600.0)
    _, reader = await told(client, writing, wait_until, "one ")
    usual = {"src": yard.bus.subjects.tokens, "dest": yard.bus.subjects.told_all}
    before = await yard.left("tokens")
    await change_tokens(yard, republish=None)
    writing.say("tell", "two ")

    async def two_is_stored() -> bool:
        return await yard.left("tokens") > before

    await wait_until(two_is_stored)
    await change_tokens(yard, republish=usual)
    writing.say("tell", "three")
    await wait_until(lambda: reader.text == "one two three")
    writing.end("tell")
    await reader.end()


async def test_closing_the_client_ends_its_readers(
    yard: Yard, writing: Writing, wait_until: WaitUntil
) -> None:
    async with Client(settings=yard.settings) as client:
        handle = await client.submit("tell", stream=True)
        reader = Reader(handle)
        await wait_until(lambda: reader.heard)
    with pytest.raises(ClientClosedError):
        await reader.end()
    with pytest.raises(ClientClosedError):
        await anext(handle.events())
    writing.end("tell")


async def test_without_a_dispatcher_jobs_stream_too(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    writing = Writing()
    await yard.worker(engine=writing, emergency=True, emergency_after_seconds=0.1)
    _, reader = await told(client, writing, wait_until, "by myself")
    writing.end("tell")
    await reader.end()


@pytest.mark.model
async def test_half_characters_and_stop_strings_never_reach_a_reader__c12(
    yard: Yard, client: Client, tmp_path: Path
) -> None:
    """At temperature 2 the tiny model writes bytes of all kinds."""
    config = EngineConfig(
        slots=1, max_rank=8, rows=4, context_tokens=512, precision=Precision.FP32, device="cpu", threads=1
    )
    await yard.dispatcher()
    await yard.worker(engine=PackedEngine(make_tiny_model(tmp_path), {}, config))
    options: RequestOptions = {"temperature": 2.0, "max_new_tokens": 96, "ignore_eos": True, "seed": 3}
    plain = await client.generate("Hello", **options)
    assert not plain.text.isascii()
    stop = plain.text[10:13]
    for wanted, stops in ((plain.text, ()), (plain.text.partition(stop)[0], (stop,))):
        asked: RequestOptions = {**options, "stop": stops, "stream": True}
        reader = Reader(await client.submit("Hello", **asked))
        await reader.end()
        assert (reader.text, reader.kinds[1]) == (wanted, EventKind.TOKENS)
        said = ""
        for event in reader.heard:
            said += event.text
            assert wanted.startswith(said)
