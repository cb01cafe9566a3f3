"""A bus that asks for a password gets it, and nobody else does."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import nats.errors
import pytest
from pydantic import SecretStr
from tests.bus.conftest import RunningServer

from lorayard_cli.embedded.bus_server import prepare_bus_server
from lorayard_shared.bus.connection import connect, hung_up
from lorayard_shared.errors import BusUnavailableError
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus


@pytest.fixture
async def locked_server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """It answers."""
    server = prepare_bus_server(tmp_path / "bus")
    config = json.loads(server.config.read_text())
    login = {"user": "me", "password": "secret"}
    server.config.write_text(json.dumps({**config, "authorization": login}))
    running = RunningServer(server, tmp_path / "server.log")
    running.start()
    known = YardSettings(url=running.url, user="me", password=SecretStr("secret"), connect_timeout_seconds=60)
    await (await connect(known, name="starts")).close()
    yield running
    running.kill()


async def test_a_login_is_used_from_the_settings_and_from_the_address(locked_server: RunningServer) -> None:
    url = locked_server.url
    for settings in (
        YardSettings(url=url, user="me", password=SecretStr("secret")),
        YardSettings(url=url.replace("nats://", "nats://me:secret@")),
    ):
        async with await connect(settings, name="test") as bus:
            assert bus.connected


async def test_a_refused_login_is_not_in_the_message(locked_server: RunningServer) -> None:
    url = locked_server.url.replace("nats://", "nats://me:secret-typo@")
    settings = YardSettings(url=url, connect_timeout_seconds=1.0)
    with pytest.raises(BusUnavailableError) as refused:
        await connect(settings, name="test")
    assert "secret" not in str(refused.value)
    assert "***@127.0.0.1" in str(refused.value)
    assert "refuses this login" in str(refused.value)


async def test_a_server_that_wants_a_login_is_not_taken_for_none(locked_server: RunningServer) -> None:
    settings = YardSettings(url=locked_server.url, connect_timeout_seconds=1.0)
    with pytest.raises(BusUnavailableError, match="refuses this login"):
        await connect(settings, name="test")


async def test_a_server_that_wants_a_login_and_hangs_up_at_once_is_not_taken_for_none() -> None:
    """Its error is lost, then: the server's reset overtakes it."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told = {"server_id": "x", "version": "2.15.0", "max_payload": 2**20, "auth_required": True}
        writer.write(b"INFO " + json.dumps(told).encode() + b"\r\n")
        await reader.readline()
        connection = writer.get_extra_info("socket")
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )  # a reset, not an end
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        settings = YardSettings(url=f"nats://{host}:{port}", connect_timeout_seconds=1.0)
        with pytest.raises(BusUnavailableError, match="refuses this login"):
            await connect(settings, name="test")


@pytest.mark.parametrize(
    ("cause", "ended"),
    [
        (ConnectionResetError(104, "reset"), True),
        (nats.errors.UnexpectedEOF(), True),
        (ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed (EOF)"), True),
        (
            ssl.SSLError(1, "[SSL: APPLICATION_DATA_AFTER_CLOSE_NOTIFY] application data after close notify"),
            True,
        ),
        (ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] unknown authority"), False),
        (OSError(113, "no route to host"), False),
    ],
)
def test_who_hung_up_is_told_from_who_is_not_there_or_not_trusted(cause: Exception, ended: bool) -> None:
    assert hung_up(cause) is ended
