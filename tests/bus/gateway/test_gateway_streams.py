"""Streams as server-sent events: their shape, going on behind an event, and clients that leave (E7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.bus.conftest import Yard
from tests.bus.gateway.conftest import Door, OpenDoor, chat
from tests.bus.streams.conftest import Writing

from lorayard_schemas.result import ResultState

pytestmark = pytest.mark.bus


class Events:
    """A stream as it is read: its text, its events' ids, and all chunks."""

    def __init__(self) -> None:
        self.text = ""
        self.last_id = ""
        self.chunks: list[dict[str, Any]] = []
        self.done = False

    async def read(self, answer: httpx.Response) -> AsyncIterator[str]:
        """Reads on; gives the text so far with each event."""
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                self.last_id = line.removeprefix("id: ")
            elif line == "data: [DONE]":
                self.done = True
            elif line.startswith("data: "):
                chunk = json.loads(line.removeprefix("data: "))
                self.chunks.append(chunk)
                for choice in chunk.get("choices", []):
                    self.text += choice.get("text") or choice.get("delta", {}).get("content") or ""
                yield self.text

    async def read_all(self, answer: httpx.Response) -> None:
        async for _ in self.read(answer):
            pass


def text_body(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "base", "prompt": prompt, "stream": True, "max_tokens": 100} | more


async def test_a_streamed_chat_has_role_text_end_usage_and_done__e7(door: Door) -> None:
    events = Events()
    body = chat("hello there", stream=True, stream_options={"include_usage": True})
    async with door.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as answer:
        await events.read_all(answer)
    first, *_, end, usage = events.chunks
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert events.text == "hello there"
    assert end["choices"][0]["finish_reason"] == "stop"
    assert end["lorayard"]["answers"][0]["adapter"] is None
    assert (usage["choices"], usage["usage"]["completion_tokens"] > 0) == ([], True)
    assert all(chunk["usage"] is None for chunk in events.chunks[:-1])
    assert {chunk["object"] for chunk in events.chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in events.chunks}) == 1
    assert events.done


async def test_choices_of_one_stream_are_told_apart_by_their_index__e7(door: Door) -> None:
    events = Events()
    body = chat("hello", stream=True, n=3)
    async with door.http() as http, http.stream("POST", "/v1/chat/completions", json=body) as answer:
        await events.read_all(answer)
    texts = dict.fromkeys(range(3), "")
    for chunk in events.chunks:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == dict.fromkeys(range(3), "hello")
    assert events.last_id == "", "one place cannot tell where three texts are"


async def test_who_answered_is_told_in_the_order_of_the_choices__e7(writing: tuple[Door, Writing]) -> None:
    door, engine = writing
    events = Events()
    body = text_body("p") | {"prompt": ["p", "q"]}
    async with door.http() as http, http.stream("POST", "/v1/completions", json=body) as answer:
        await door.yard.wait_until(lambda: "p" in engine and "q" in engine)
        engine.say("q", "second")
        engine.end("q")
        reading = events.read(answer)
        while not events.chunks or events.chunks[-1]["choices"][0]["finish_reason"] is None:
            await anext(reading)
        engine.end("p")
        async for _ in reading:
            pass
    first, _ = events.chunks[-1]["lorayard"]["answers"]
    assert events.chunks[-1]["id"] == f"cmpl-{first['job']}"


async def test_what_is_refused_before_the_first_byte_is_a_status__e7(door: Door) -> None:
    async with door.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat("x", stream=True, model="acme/tiny/none"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_text_comes_as_it_is_written__e7(writing: tuple[Door, Writing]) -> None:
    door, engine = writing
    events = Events()
    async with door.http() as http, http.stream("POST", "/v1/completions", json=text_body("p")) as answer:
        reading = events.read(answer)
        await door.yard.wait_until(lambda: "p" in engine)
        engine.say("p", "one ")
        assert await anext(reading) == "one "
        engine.say("p", "two")
        assert await anext(reading) == "one two"
        engine.end("p")
        async for _ in reading:
            pass
    assert events.done


async def test_a_reader_goes_on_behind_its_last_event_at_another_gateway__e7(
    writing: tuple[Door, Writing], open_door: OpenDoor
) -> None:
    door, engine = writing
    body, events = text_body("p"), Events()
    headers = {"x-lorayard-on-disconnect": "continue"}
    async with (
        door.http() as http,
        http.stream("POST", "/v1/completions", json=body, headers=headers) as answer,
    ):
        await door.yard.wait_until(lambda: "p" in engine)
        engine.say("p", "one ")
        assert await anext(events.read(answer)) == "one "
    engine.say("p", "two ")
    other: Door = await open_door()
    resume = {"last-event-id": events.last_id}
    async with (
        other.http() as http,
        http.stream("POST", "/v1/completions", json=body, headers=resume) as answer,
    ):
        reading = events.read(answer)
        assert await anext(reading) == "one two "
        engine.say("p", "three")
        engine.end("p")
        async for _ in reading:
            pass
    assert (events.text, events.done) == ("one two three", True)
    assert events.chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_reader_goes_on_after_the_end_and_hears_the_rest__e7(writing: tuple[Door, Writing]) -> None:
    door, engine = writing
    body, events = text_body("p"), Events()
    async with (
        door.http() as http,
        http.stream("POST", "/v1/completions", json=body, headers={"idempotency-key": "k"}) as answer,
    ):
        await door.yard.wait_until(lambda: "p" in engine)
        engine.say("p", "one ")
        assert await anext(events.read(answer)) == "one "
    engine.say("p", "two")
    engine.end("p")
    async with (
        door.http() as http,
        http.stream(
            "POST", "/v1/completions", json=body, headers={"last-event-id": events.last_id}
        ) as answer,
    ):
        await events.read_all(answer)
    assert (events.text, events.done) == ("one two", True)


@pytest.mark.parametrize(
    "last", ["0123456789abcdef.5.2.0000000000000000", "no-such-job.0.0.0000000000000000"]
)
async def test_a_stream_that_never_was_is_a_404__e7(door: Door, last: str) -> None:
    async with door.http() as http:
        answer = await http.post("/v1/completions", json=text_body("p"), headers={"last-event-id": last})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "stream_not_found")


async def test_another_text_than_the_reader_has_is_an_error_and_no_mixture__e7(door: Door) -> None:
    body = text_body("hello there")
    events = Events()
    async with door.http() as http, http.stream("POST", "/v1/completions", json=body) as answer:
        await events.read_all(answer)
    job, sequence, _, digest = events.last_id.split(".")
    claimed = f"{job}.{sequence}.5.{digest}"  # five characters, and the digest of eleven
    events = Events()
    async with (
        door.http() as http,
        http.stream("POST", "/v1/completions", json=body, headers={"last-event-id": claimed}) as answer,
    ):
        await events.read_all(answer)
    assert events.text == ""
    assert not events.done
    assert "error" in events.chunks[-1]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_ends_its_job__e7(writing: tuple[Door, Writing], *, stream: bool) -> None:
    door, engine = writing
    await _leave(door, engine, stream=stream, headers={})
    await door.yard.wait_until(lambda: "p" not in engine)

    async def cancelled() -> bool:
        return await door.yard.left("results") == 1

    await door.yard.wait_until(cancelled)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("headers", [{"idempotency-key": "k"}, {"x-lorayard-on-disconnect": "continue"}])
async def test_a_client_that_will_ask_again_may_leave__e7(
    writing: tuple[Door, Writing], headers: dict[str, str], *, stream: bool
) -> None:
    door, engine = writing
    await _leave(door, engine, stream=stream, headers=headers)
    engine.say("p", "all")
    engine.end("p")

    async def answered() -> bool:
        return await door.yard.left("results") == 1

    await door.yard.wait_until(answered)
    if "idempotency-key" in headers:
        async with door.http() as http:
            body = text_body("p", stream=stream)
            again = await http.post("/v1/completions", json=body, headers=headers)
        assert "all" in again.text


async def test_a_client_that_leaves_before_its_job_begins_is_not_waited_for__e7(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorayard_gateway.streams.FIRST_SECONDS", 600.0)
    door: Door = await open_door()
    await door.yard.dispatcher()  # and no worker

    async def submitted() -> bool:
        return await door.yard.left("jobs") == 1

    async def cancelled() -> bool:
        return await door.yard.left("results") == 1

    async with door.http() as http:
        asking = asyncio.create_task(http.post("/v1/completions", json=text_body("p")))
        await door.yard.wait_until(submitted)
        asking.cancel()
        await asyncio.wait({asking})
    await door.yard.wait_until(cancelled)


async def test_choices_that_nobody_waits_for_are_cancelled_together__e7(
    writing: tuple[Door, Writing],
) -> None:
    door, engine = writing
    orders: list[str] = []
    prefix = door.yard.bus.subjects.dispatcher("")
    await door.yard.bus.nc.hear(f"{prefix}>", lambda heard: orders.append(heard.subject))
    prompts = [f"p{number}" for number in range(20)]
    async with door.http() as http:
        asking = asyncio.create_task(http.post("/v1/completions", json={"model": "base", "prompt": prompts}))
        await door.yard.wait_until(lambda: "p0" in engine)
        asking.cancel()
        await asyncio.wait({asking})

    async def cancelled() -> bool:
        return await door.yard.left("results") == len(prompts)

    await door.yard.wait_until(cancelled)
    verbs = [order.removeprefix(prefix) for order in orders]
    assert (verbs.count("cancel-many"), verbs.count("cancel")) == (1, 0)


async def _leave(door: Door, engine: Writing, *, stream: bool, headers: dict[str, str]) -> None:
    """Ask, and cut the connection while the answer is being written."""

    async def ask() -> None:
        async with door.http() as http:
            body = text_body("p", stream=stream)
            async with http.stream("POST", "/v1/completions", json=body, headers=headers) as answer:
                await Events().read_all(answer)

    asking = asyncio.create_task(ask())
    await door.yard.wait_until(lambda: "p" in engine)
    if stream:
        engine.say("p", "some ")
    asking.cancel()
    await asyncio.wait({asking})


async def test_a_job_that_fails_in_the_middle_is_told_in_the_stream__e7(
    writing: tuple[Door, Writing],
) -> None:
    door, engine = writing
    events = Events()
    async with door.http() as http, http.stream("POST", "/v1/completions", json=text_body("p")) as answer:
        reading = events.read(answer)
        await door.yard.wait_until(lambda: "p" in engine)
        engine.say("p", "one ")
        await anext(reading)
        job = events.last_id.partition(".")[0]
        await door.yard.cancel(job)
        async for _ in reading:
            pass
    assert events.chunks[-1]["error"]["code"] == "cancelled"
    assert not events.done
    assert (await door.yard.result(job)).state is ResultState.CANCELLED


async def test_a_stream_is_told_when_its_gateway_stops_and_goes_on_at_another__e7(
    yard: Yard, open_door: OpenDoor
) -> None:
    from tests.bus.gateway.conftest import local, opened

    engine = Writing()
    await yard.dispatcher()
    await yard.worker(engine=engine)
    door: Door = await open_door()
    events, body = Events(), text_body("p")
    async with httpx.AsyncClient(headers=door.headers, timeout=30) as http:
        async with opened(local(yard.settings, gateway_drain_seconds=0.2)) as (url, _):
            request = http.build_request("POST", f"{url}/v1/completions", json=body)
            answer = await http.send(request, stream=True)
            reading = events.read(answer)
            await yard.wait_until(lambda: "p" in engine)
            engine.say("p", "one ")
            await anext(reading)
        async for _ in reading:
            pass
    assert events.chunks[-1]["error"]["code"] == "gateway_stopping"
    engine.say("p", "two")
    engine.end("p")
    async with (
        door.http() as http,
        http.stream("POST", "/v1/completions", json=body, headers={"last-event-id": events.last_id}) as again,
    ):
        await events.read_all(again)
    assert (events.text, events.done) == ("one two", True)
