"""Clients that hold a connection and say nothing are let go of (E7)."""

from __future__ import annotations

import asyncio
import json

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
    door: Door = await open_door(gateway_header_seconds=0.5)
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
    door: Door = await open_door(gateway_header_seconds=0.3)
    stranger = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
    assert (await talk(door, stranger.encode(), b"{")).startswith(b"HTTP/1.1 401")


async def test_a_head_without_end_is_refused__e7(open_door: OpenDoor) -> None:
    door: Door = await open_door()
    heard = await talk(door, b"GET /healthz HTTP/1.1\r\nx: " + b"a" * 200_000)
    assert not heard or heard.startswith(b"HTTP/1.1 400")  # the answer may be lost with what was not read
