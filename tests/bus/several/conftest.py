"""Dispatchers as real processes, to be killed and stopped, beside those in the test's own."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
from tests.bus.conftest import Yard

from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_schemas.result import JobResult, ResultState
from lorayard_schemas.seat import SEAT_KEY, SeatHolder
from lorayard_schemas.status import DispatcherStatus
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.watch import BucketWatch
from lorayard_shared.process import end_tasks
from lorayard_shared.settings import YardSettings

WaitUntil = Callable[..., Awaitable[None]]

START_SECONDS = 60.0
"""A process starts on a machine that others keep busy."""


class DispatcherProcess:
    """A `lorayard dispatcher` of its own."""

    def __init__(self, settings: YardSettings, name: str) -> None:
        self.name = name
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("LORAYARD_")},
            "LORAYARD_URL": settings.url,
            "LORAYARD_PREFIX": settings.prefix,
            "LORAYARD_PARTITIONS": str(settings.partitions),
            "LORAYARD_ACK_WAIT_SECONDS": str(settings.ack_wait_seconds),
        }
        command = [sys.executable, "-m", "lorayard_cli", "dispatcher", f"--name={name}", "--log-level=error"]
        self._process = subprocess.Popen(command, env=environment)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        await asyncio.to_thread(self._process.wait)


class SeatView:
    """Who holds the seats, kept up."""

    def __init__(self, bus: Bus) -> None:
        self.holders: dict[int, str] = {}
        self.history: list[tuple[int, str]] = []
        self.living: set[str] = set()
        self._watch = BucketWatch(bus, bus.subjects.bucket("dispatchers"), self._on_change)
        self._task = asyncio.create_task(self._watch.run())

    def _on_change(self, key: str, value: bytes | None) -> None:
        if not key.startswith(SEAT_KEY):
            (self.living.add if value else self.living.discard)(key)
            return
        seat = int(key.removeprefix(SEAT_KEY))
        holder = decode(SeatHolder, value).dispatcher if value else ""
        if self.holders.get(seat, "") != holder:
            self.history.append((seat, holder))
        self.holders[seat] = holder

    async def end(self) -> None:
        await end_tasks([self._task])


class SeveralYard:
    """A yard whose dispatchers and workers a test counts."""

    def __init__(self, yard: Yard, wait_until: WaitUntil) -> None:
        self.yard = yard
        self.bus = yard.bus
        self.wait_until = wait_until
        self.seats = SeatView(yard.bus)
        self._processes: list[DispatcherProcess] = []
        self._numbers = itertools.count(1)

    async def process(self, name: str) -> DispatcherProcess:
        """Start a dispatcher's process; it is known to the yard when this returns."""
        started = DispatcherProcess(self.yard.settings, name)
        self._processes.append(started)
        await self.wait_until(lambda: f"dispatcher.{name}" in self.seats.living, seconds=START_SECONDS)
        return started

    async def status(self, dispatcher: str) -> DispatcherStatus:
        """What one dispatcher tells of itself."""
        subject = self.bus.subjects.dispatcher_status(dispatcher)
        return decode(DispatcherStatus, (await self.bus.nc.request(subject, b"", timeout=30)).data)

    async def publish(self, count: int, **given: object) -> list[str]:
        """Publish that many jobs; returns their ids."""
        names = [f"j{next(self._numbers)}" for _ in range(count)]
        for name in names:
            await self.yard.publish(Job(id=name, prompt="say"), **given)  # type: ignore[arg-type]
        return names

    async def results(self, names: Sequence[str], *, seconds: float = 60.0) -> list[JobResult]:
        """Their results, once all are there."""
        found: list[JobResult] = []
        for name in names:
            await self.wait_until(lambda name=name: self.yard.stored(name), seconds=seconds)
            result = await self.yard.stored(name)
            assert result is not None
            found.append(result)
        return found

    async def all_answered_once(self, names: Sequence[str]) -> None:
        """Every job has succeeded, and nothing else was stored or is left."""
        results = await self.results(names)
        assert {result.state for result in results} == {ResultState.SUCCEEDED}
        assert await self.yard.left("results") == len(names)
        await self.wait_until(self._nothing_left)

    async def _nothing_left(self) -> bool:
        return await self.yard.left() == 0

    async def end(self) -> None:
        for process in self._processes:
            await process.end()
        await self.seats.end()


@pytest.fixture
async def several(yard: Yard, wait_until: WaitUntil) -> AsyncIterator[SeveralYard]:
    several = SeveralYard(yard, wait_until)
    yield several
    await several.end()


@pytest.fixture
async def long_lease_several(long_lease_yard: Yard, wait_until: WaitUntil) -> AsyncIterator[SeveralYard]:
    """With leases that outlast every wait here: what comes again was given back."""
    several = SeveralYard(long_lease_yard, wait_until)
    yield several
    await several.end()


@pytest.fixture
async def make_several(
    make_settings: Callable[..., Awaitable[YardSettings]], wait_until: WaitUntil
) -> AsyncIterator[Callable[..., Awaitable[SeveralYard]]]:
    """A yard with settings of the test's choice."""
    made: list[tuple[SeveralYard, Bus]] = []

    async def make(**given: object) -> SeveralYard:
        settings = await make_settings(**given)
        bus = await connect(settings, name="test")
        several = SeveralYard(Yard(settings, bus, wait_until), wait_until)
        made.append((several, bus))
        return several

    yield make
    for several, bus in made:
        await several.end()
        await several.yard.stop()
        await bus.close()
