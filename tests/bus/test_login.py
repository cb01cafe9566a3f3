"""A bus that asks for a password gets it, and nobody else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.bus.conftest import RunningServer

from lorayard_cli.embedded.bus_server import prepare_bus_server
from lorayard_shared.bus.connection import connect
from lorayard_shared.errors import BusUnavailableError
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus


@pytest.fixture
def locked_server(tmp_path: Path) -> Iterator[RunningServer]:
    server = prepare_bus_server(tmp_path / "bus")
    config = json.loads(server.config.read_text())
    login = {"user": "me", "password": "secret"}
    server.config.write_text(json.dumps({**config, "authorization": login}))
    running = RunningServer(server, tmp_path / "server.log")
    running.start()
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
