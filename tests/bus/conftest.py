"""A real nats-server per test process, and a yard of its own (a prefix) per test."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from lorayard_cli.embedded.bus_server import BusServer, prepare_bus_server
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

_numbers = itertools.count(1)


class RunningServer:
    """A nats-server that tests may kill and start again on the same port and store."""

    def __init__(self, server: BusServer, log: Path) -> None:
        self.server = server
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self.server.command(), stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def bus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("bus")
    running = RunningServer(prepare_bus_server(folder), folder / "server.log")
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def bus_url(bus_server: RunningServer) -> str:
    return bus_server.url


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server for one test alone, to be killed at will."""
    running = RunningServer(prepare_bus_server(tmp_path / "bus"), tmp_path / "server.log")
    running.start()
    yield running
    running.kill()


async def _declare(settings: YardSettings) -> None:
    async with await connect(settings, name="declare") as bus:
        await declare(bus, topology(settings))


async def _remove(settings: YardSettings) -> None:
    """Every yard reserves gigabytes on the server (`max_bytes`), so a test gives its own back."""
    async with await connect(settings, name="remove") as bus:
        for stream in topology(settings).streams:
            await bus.api(f"STREAM.DELETE.{stream.name}")


@pytest.fixture
async def settings(bus_url: str) -> AsyncIterator[YardSettings]:
    """Settings of a fresh yard whose streams, buckets and consumers are declared."""
    settings = YardSettings(url=bus_url, prefix=f"t{next(_numbers)}", ack_wait_seconds=2.0)
    await _declare(settings)
    yield settings
    await _remove(settings)


@pytest.fixture
async def bus(settings: YardSettings) -> AsyncIterator[Bus]:
    async with await connect(settings, name="test") as bus:
        yield bus


@pytest.fixture
async def make_settings(bus_url: str) -> AsyncIterator[Callable[..., Awaitable[YardSettings]]]:
    """A fresh declared yard with settings of the test's choice."""

    made: list[YardSettings] = []

    async def make(**given: object) -> YardSettings:
        values = {"url": bus_url, "prefix": f"t{next(_numbers)}", "ack_wait_seconds": 2.0, **given}
        settings = YardSettings.model_validate(values)
        await _declare(settings)
        made.append(settings)
        return settings

    yield make
    for settings in made:
        await _remove(settings)
