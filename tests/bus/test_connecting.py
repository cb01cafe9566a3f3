"""Connecting: a cancel at any moment leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest

from lorayard_shared.bus.connection import connect
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

INFO = json.dumps({"server_id": "S", "version": "2.15.0", "max_payload": 1024, "client_id": 1})
TURNS_UNTIL_CONNECTED = 12
"""Of the loop, from the server's last word to `connect` returning; fewer than ten today."""


@asynccontextmanager
async def greeting_server(greeted: Callable[[], None]) -> AsyncGenerator[YardSettings]:
    """A server that says what a client waits for, in this very loop, and tells when it has."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"INFO {INFO}\r\n".encode())
        while line := await reader.readline():
            if line == b"PING\r\n":
                writer.write(b"PONG\r\n")
                greeted()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield YardSettings(url=f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()
        await server.wait_closed()


def clients_tasks() -> list[str]:
    """What a connection runs in the background, by the name of its code."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("Client.")]


@pytest.mark.parametrize("turns", range(TURNS_UNTIL_CONNECTED))
async def test_a_cancel_never_loses_an_open_connection(turns: int) -> None:
    """A connection made for somebody who has just given up would stay open for ever."""
    greeted = asyncio.Event()
    async with greeting_server(greeted.set) as settings:
        connecting = asyncio.create_task(connect(settings, name="given-up"))
        await greeted.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        given_up_in_time = connecting.cancel()
        if given_up_in_time:
            with pytest.raises(asyncio.CancelledError):
                await connecting
        else:
            await connecting.result().close()
        assert clients_tasks() == []
