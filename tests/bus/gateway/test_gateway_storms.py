"""Many clients at once, most of them rude: all are answered or gone, and nothing of them stays (E7)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import httpx
import pytest
from tests.bus.gateway.conftest import Door, OpenDoor, chat

pytestmark = [pytest.mark.bus, pytest.mark.timeout(180)]

CLIENTS = 120


async def test_clients_that_leave_at_any_moment_leave_nothing_behind__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door()
    await door.yard.dispatcher()
    await door.yard.worker(echo_delay_seconds=0.05)
    draw = Random(7)
    answered = 0

    async def come_and_go(http: httpx.AsyncClient, number: int) -> None:
        nonlocal answered
        body = chat(f"number {number}", stream=number % 2 == 0, n=1 + number % 3)
        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(draw.choice([0.01, 0.1, 0.5, 60.0])):
                answer = await http.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
                answered += 1

    async with door.http() as http:
        await asyncio.gather(*(come_and_go(http, number) for number in range(CLIENTS)))
    assert answered >= CLIENTS // 8, "those with a minute's patience"

    def nothing_left() -> bool:
        names = [task.get_name() for task in asyncio.all_tasks()]
        rest = [name for name in names if name.startswith(("stream-", "cancel", "lorayard-follow-"))]
        return not rest

    await door.yard.wait_until(nothing_left)
    leaving = door.gateway._leaving  # pyright: ignore[reportPrivateUsage]  # what a leak would fill
    await door.yard.wait_until(lambda: not leaving)

    async def queue_is_empty() -> bool:
        return await door.yard.left() == 0

    await door.yard.wait_until(queue_is_empty)


async def test_what_is_no_http_or_an_odd_one_harms_nobody__e7(door: Door) -> None:
    host, port = door.url.removeprefix("http://").split(":")
    ask = f"authorization: Bearer {door.key}\r\ncontent-type: application/json\r\n"
    body = b'{"model":"base","messages":[{"role":"user","content":"hi"}]}'
    length = f"content-length: {len(body)}\r\n"
    odd = {
        b"\x16\x03\x01\x02\x00\x01\x00": b"HTTP/1.1 400",  # TLS, spoken to a plain port
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": b"HTTP/1.1 4",
        b"GET /healthz HTTP/1.0\r\n\r\n": b"HTTP/1.1 200",
        b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n": b"HTTP/1.1 200",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n": b"HTTP/1.1",
        b"GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n": b"HTTP/1.1 404",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n": b"HTTP/1.1 400",
        (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{ask}{length}"
            "expect: 100-continue\r\nconnection: close\r\n\r\n"
        ).encode()
        + body: b"HTTP/1.1 100",
    }
    for sent, expected in odd.items():
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(sent)
        with suppress(ConnectionResetError):
            async with asyncio.timeout(20):
                heard = await reader.read(64)
            assert heard.startswith(expected), (sent, heard)
        writer.close()
    async with door.http() as http:
        assert (await http.post("/v1/chat/completions", json=chat("still here"))).status_code == 200
