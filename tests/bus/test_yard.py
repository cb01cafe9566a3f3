"""Dispatcher and worker together while the bus itself goes away (E3, G1)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import JobResult, ResultState
from lorayard_schemas.status import DispatcherStatus
from lorayard_shared.bus.connection import Bus
from lorayard_shared.process import end_tasks

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class Server(Protocol):
    """A server that a test kills and starts again."""

    def start(self) -> None:
        """Start it, on the port and the store it had."""

    def kill(self) -> None:
        """End it as a power cut would."""


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> object: ...
    async def worker(self, name: str = "w1", **given: object) -> object: ...
    async def publish(self, body: Job | bytes, *, lane: Lane = Lane.NORMAL) -> int: ...
    async def result(self, job: str) -> JobResult: ...
    async def status(self) -> DispatcherStatus: ...
    async def left(self, kind: str = "jobs") -> int: ...


async def test_every_job_is_answered_once_when_the_bus_is_killed_under_way(
    own_server: Server, own_yard: Yard, wait_until: WaitUntil
) -> None:
    yard, count = own_yard, 60
    await yard.dispatcher()
    await yard.worker("w1", rows=4, lookahead=2, echo_delay_seconds=0.05)
    await yard.worker("w2", rows=4, lookahead=2, echo_delay_seconds=0.05)
    for number in range(count):
        await yard.publish(Job(id=f"j{number}", prompt="x"), lane=tuple(Lane)[number % 4])

    async def some_answered() -> bool:
        return await yard.left("results") > 5

    await wait_until(some_answered)
    own_server.kill()
    await wait_until(lambda: not yard.bus.connected)
    own_server.start()
    await wait_until(lambda: yard.bus.connected)
    states = [(await yard.result(f"j{number}")).state for number in range(count)]
    assert states == [ResultState.SUCCEEDED] * count

    async def all_acked() -> bool:
        return await yard.left() == 0

    await wait_until(all_acked)
    assert await yard.left("results") == count


async def test_a_task_that_swallows_a_cancel_is_ended_all_the_same() -> None:
    """`asyncio.wait_for` of Python 3.11 makes such tasks, and a process that waits for one never stops."""
    started, swallowed = asyncio.Event(), False

    async def stubborn() -> None:
        nonlocal swallowed
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            swallowed = True
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await started.wait()
    await end_tasks([task])
    assert swallowed
    assert task.cancelled()


async def test_a_yard_that_waited_out_the_bus_takes_new_work(
    own_server: Server, own_yard: Yard, wait_until: WaitUntil
) -> None:
    """Pulls, watches, endpoints and leases are all there again."""
    yard = own_yard
    await yard.dispatcher()
    await yard.worker()
    own_server.kill()
    await wait_until(lambda: not yard.bus.connected)
    own_server.start()
    await wait_until(lambda: yard.bus.connected)
    await yard.publish(Job(id="j", prompt="x"))
    assert (await yard.result("j")).state is ResultState.SUCCEEDED
    assert (await yard.status()).workers == ("w1",)
