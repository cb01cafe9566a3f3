"""Clients that hold a connection and say nothing are let go of (E7)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest
from tests.bus.gateway.conftest import Door, OpenDoor

pytestmark = pytest.mark.bus


async def talk(door: Door, *parts: bytes) -> bytes:
    """Send so much, then nothing; what is answered until the connection ends."""
    host, port = door.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("parts", [(), (b"POST /v1/chat",), (b"GET /healthz HTTP/1.1\r\nhost: x\r\n",)])
async def test_a_head_that_never_ends_is_not_waited_for__e7(
    open_door: OpenDoor, parts: tuple[bytes, ...]
) -> None:
    door: Door = await open_door(gateway_header_seconds=0.3)
    assert await talk(door, *parts) == b""


async def test_the_next_head_of_a_connection_has_to_end_too__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_header_seconds=1.5)
    whole = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    heard = await talk(door, whole, b"GET /heal")
    assert heard.count(b"HTTP/1.1 200") == 1


async def test_a_body_that_never_ends_is_a_408__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_body_seconds=0.3)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {door.key}\r\n"
        "content-type: application/json\r\ncontent-length: 100\r\n\r\n"
    )
    heard = await talk(door, head.encode(), b'{"model"')
    assert heard.startswith(b"HTTP/1.1 408")
    assert json.loads(heard.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"


async def test_the_rest_of_a_body_that_was_refused_has_to_end_too__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_header_seconds=1.5)
    stranger = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
    assert (await talk(door, stranger.encode(), b"{")).startswith(b"HTTP/1.1 401")


async def test_a_head_without_end_is_refused__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door()
    heard = await talk(door, b"GET /healthz HTTP/1.1\r\nx: " + b"a" * 200_000)
    assert not heard or heard.startswith(b"HTTP/1.1 400")  # the answer may be lost with what was not read


async def test_who_comes_when_all_connections_are_taken_is_told_so__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_max_connections=2, gateway_header_seconds=600)
    whole = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    async with AsyncExitStack() as held:
        before = [await _opened(door, held) for _ in range(2)]
        for reader, writer in before:
            writer.write(whole)
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        heard = await talk(door, whole)
        assert heard.startswith(b"HTTP/1.1 503")
        assert b"\r\nretry-after: 1\r\n" in heard
        assert json.loads(heard.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_many_connections"
        for reader, writer in before:
            await reader.readuntil(b"}")
            writer.write(whole)
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n", (
                "those that were there before are served"
            )


async def test_connections_far_beyond_the_limit_are_closed_unheard__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door(gateway_max_connections=4, gateway_header_seconds=600)
    async with AsyncExitStack() as held:
        opened = [await _opened(door, held) for _ in range(12)]
        for reader, _ in opened[4:]:
            with suppress(ConnectionResetError):
                assert await reader.read() == b"", "nor is one kept that says nothing and would be refused"
        reader, writer = opened[0]
        writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"


async def test_who_takes_no_answer_holds_no_connection__e7(
    open_door: OpenDoor, wait_until: Callable[..., Awaitable[None]]
) -> None:
    """A connection that is closed has to send what is left, and nobody takes it."""
    door: Door = await open_door(gateway_max_connections=1, gateway_send_seconds=0.3, gateway_idle_seconds=1)
    host, port = door.url.removeprefix("http://").split(":")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(slow, (host, int(port)))
        with suppress(BlockingIOError):
            slow.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 500)

        async def has_room() -> bool:
            heard = await talk(door, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            return heard.startswith(b"HTTP/1.1 200")

        await wait_until(has_room)


async def _opened(door: Door, held: AsyncExitStack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = door.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    held.callback(writer.close)
    return reader, writer
