"""Answers and refusals of the gateway, as OpenAI's clients know them (E7)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.bus.conftest import ADAPTER, RunningServer, Yard
from tests.bus.gateway.conftest import Door, OpenDoor, chat

pytestmark = pytest.mark.bus


async def test_a_chat_is_answered_with_who_answered_it__e7(door: Door) -> None:
    async with door.http() as http:
        answer = await http.post(
            "/v1/chat/completions",
            json=chat("hello") | {"model": ADAPTER},
            headers={"x-request-id": "order-17"},
        )
    told = answer.json()
    assert answer.status_code == 200, told
    assert answer.headers["x-request-id"] == "order-17"
    assert told["object"] == "chat.completion"
    (choice,) = told["choices"]
    assert choice["message"]["content"] == "hello"
    assert told["model"] == f"{ADAPTER}@1"
    assert (
        told["usage"]["total_tokens"] == told["usage"]["prompt_tokens"] + told["usage"]["completion_tokens"]
    )
    stored = await door.yard.result(told["lorayard"]["answers"][0]["job"])
    assert stored.correlation_id == "order-17"


async def test_several_choices_and_prompts_are_as_many_jobs__e7(door: Door) -> None:
    async with door.http() as http:
        body = {"model": "base", "prompt": ["one", "two"], "n": 2}
        told = (await http.post("/v1/completions", json=body)).json()
    assert [choice["text"] for choice in told["choices"]] == ["one", "one", "two", "two"]
    assert [choice["index"] for choice in told["choices"]] == [0, 1, 2, 3]
    assert len({one["job"] for one in told["lorayard"]["answers"]}) == 4


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (chat("x", model="acme/tiny/none"), 404, "model_not_found", "model"),
        (chat("x", model="no model"), 400, "invalid_value", "model"),
        (chat("x", temperature=11), 400, "invalid_value", "temperature"),
        (chat("x", temperature="hot"), 400, "invalid_value", "temperature"),
        (chat("x", max_tokens=0), 400, "invalid_value", "max_tokens"),
        (chat("x", n=0), 400, "invalid_value", "n"),
        (chat("x", tools=[{"type": "function"}]), 400, "unsupported_parameter", "tools"),
        (chat("x", frobnicate=1), 400, "unknown_parameter", "frobnicate"),
        ({"model": "base"}, 400, "missing_required_parameter", "messages"),
        ({"messages": []}, 400, "missing_required_parameter", "model"),
        (chat(""), 400, "invalid_value", "messages"),
        ([], 400, "invalid_type", "body"),
    ],
)
async def test_a_wrong_field_is_named__e7(door: Door, body: Any, status: int, code: str, param: str) -> None:
    async with door.http() as http:
        answer = await http.post("/v1/chat/completions", json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")
    assert error["message"]


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "invalid_json"),
        (b"", "application/json", 400, "invalid_json"),
        (b'{"a": NaN}', "application/json", 400, "invalid_json"),
        (b'{"model": "\xff"}', "application/json", 400, "invalid_json"),
        (b"[" * 60_000, "application/json", 400, "invalid_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "application/json", 400, "invalid_json"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"x" * 5000, "application/json", 413, "request_too_large"),
    ],
)
async def test_a_body_that_is_none_is_refused__e7(
    open_door: OpenDoor, content: bytes, kind: str, status: int, code: str
) -> None:
    door: Door = await open_door(gateway_max_body_bytes=200_000 if content[:1] == b"[" else 5_100)
    content = content * 2 if status == 413 else content
    async with door.http() as http:
        answer = await http.post("/v1/chat/completions", content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_body_that_would_take_long_to_read_is_refused_unread__e7(door: Door) -> None:
    headers = {"content-type": "application/json"}
    content = b'{"model": "base", "messages": [' + b"[]," * 1_000_000 + b"[]]}"
    async with door.http() as http:
        answer = await http.post("/v1/chat/completions", content=content, headers=headers)
    assert answer.status_code == 400, answer.text
    assert "more than 32768 values" in answer.json()["error"]["message"]


async def test_a_large_text_is_read_as_a_small_one__e7(door: Door) -> None:
    prompt = 'a "quoted" [text], {ü} ' * 20_000
    async with door.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat(prompt, max_tokens=5))
    assert answer.status_code == 200, answer.text


async def test_a_body_too_large_is_refused_also_where_its_length_is_not_told__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_max_body_bytes=2048)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b" " * 1024

    async with door.http() as http:
        answer = await http.post(
            "/v1/chat/completions", content=parts(), headers={"content-type": "application/json"}
        )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"x-lorayard-priority": "now"}, "x-lorayard-priority"),
        ({"x-lorayard-deadline-seconds": "-1"}, "x-lorayard-deadline-seconds"),
        ({"x-lorayard-deadline-seconds": "soon"}, "x-lorayard-deadline-seconds"),
        ({"x-lorayard-on-disconnect": "maybe"}, "x-lorayard-on-disconnect"),
        ({"idempotency-key": "k" * 257}, "idempotency-key"),
        ({"last-event-id": "17"}, "last-event-id"),
    ],
)
async def test_a_wrong_header_is_named__e7(door: Door, headers: dict[str, str], param: str) -> None:
    async with door.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat("x"), headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_one_key_is_one_answer_and_another_request_under_it_conflicts__e7(door: Door) -> None:
    async with door.http(headers={**door.headers, "idempotency-key": "k1"}) as http:
        first = (await http.post("/v1/chat/completions", json=chat("x"))).json()
        again = (await http.post("/v1/chat/completions", json=chat("x"))).json()
        other = await http.post("/v1/chat/completions", json=chat("y"))
    assert first["id"] == again["id"]
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")


async def test_a_deadline_that_passes_is_a_504__e7(open_door: OpenDoor, yard: Yard) -> None:
    door: Door = await open_door()
    await yard.dispatcher()  # and no worker
    async with door.http() as http:
        answer = await http.post(
            "/v1/chat/completions", json=chat("x"), headers={"x-lorayard-deadline-seconds": "0.3"}
        )
    assert (answer.status_code, answer.json()["error"]["type"]) == (504, "server_error")


async def test_an_answer_that_takes_too_long_is_a_504_and_its_job_cancelled__e7(
    open_door: OpenDoor, yard: Yard
) -> None:
    door: Door = await open_door(gateway_answer_seconds=0.3)
    await yard.dispatcher()
    async with door.http() as http:
        answer = await http.post("/v1/chat/completions", json=chat("x"))
    assert answer.status_code == 504

    async def ended() -> bool:
        return await yard.left() == 0 and await yard.left("results") == 1

    await yard.wait_until(ended)


async def test_a_limit_is_a_429_that_says_when_to_come_again__e7(door: Door) -> None:
    await door.admin.limits.set(tenant="acme", requests_per_minute=1, reason="test")

    async def refused() -> bool:
        async with door.http() as http:
            answer = await http.post("/v1/chat/completions", json=chat("x"))
        if answer.status_code != 429:
            return False
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert float(answer.headers["x-ratelimit-limit-requests"]) == 1
        assert answer.headers["x-lorayard-limit"] == "requests_rate"
        assert answer.json()["error"]["code"] == "rate_limit_exceeded"
        return True

    await door.yard.wait_until(refused)


async def test_embeddings_are_refused_in_openais_words__e7(door: Door) -> None:
    async with door.http() as http:
        answer = await http.post("/v1/embeddings", json={"model": "base", "input": "x"})
        unknown = await http.post("/v1/embeddings", json={"model": "acme/tiny/none", "input": "x"})
        wrong = await http.post("/v1/embeddings", json={"model": "base"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_model")
    assert unknown.status_code == 404
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "input")


async def test_unknown_paths_and_methods_are_told_alike__e7(door: Door) -> None:
    async with door.http() as http:
        nowhere = await http.get("/v1/nowhere")
        method = await http.get("/v1/chat/completions")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "unknown_url")
    assert (method.status_code, method.json()["error"]["code"]) == (405, "method_not_allowed")
    assert method.headers["allow"] == "POST"


async def test_while_the_bus_is_away_it_says_so_at_once_and_serves_again__e7(
    own_server: RunningServer, own_yard: Yard, wait_until: Any
) -> None:
    from contextlib import AsyncExitStack

    from tests.bus.gateway.conftest import local, opened

    async with AsyncExitStack() as held:
        await own_yard.dispatcher()
        await own_yard.worker()
        settings = local(own_yard.settings, gateway_keys=False)
        url, gateway = await held.enter_async_context(opened(settings))
        door = Door(url=url, key="x", gateway=gateway, yard=own_yard, admin=None)  # type: ignore[arg-type]
        async with door.http() as http:
            own_server.kill()
            await wait_until(lambda: not gateway.bus.connected)
            answer = await http.post("/v1/chat/completions", json=chat("x"))
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            unready = await http.get("/readyz")
            assert (unready.status_code, unready.json()["missing"]) == (503, ["the bus is away"])
            assert (await http.get("/healthz")).status_code == 200, "it runs: nobody shall end it"
            own_server.start()

            async def serves() -> bool:
                answer = await http.post("/v1/chat/completions", json=chat("x"))
                assert answer.status_code in (200, 503), answer.text
                return answer.status_code == 200

            await wait_until(serves)


async def test_the_document_is_served_without_a_key__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door()
    async with door.http(headers={}) as http:
        told = json.loads((await http.get("/openapi.json")).text)
    assert told["openapi"].startswith("3.1")
    assert "/v1/chat/completions" in told["paths"]
