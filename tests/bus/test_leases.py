"""A lease is kept from its own thread, whatever the loop is doing, and let go at a word (E3, G1)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

import lorayard_shared.lease
from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.puller import Puller
from lorayard_shared.bus.topology import PIN_GROUP, lane_consumer, topology
from lorayard_shared.errors import BusUnavailableError
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
ACK_WAIT_SECONDS = 1.0


class Server(Protocol):
    """A server that a test kills and starts again."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    def start(self) -> None:
        """Start it, on the port and the store it had."""

    def kill(self) -> None:
        """End it as a power cut would."""


@pytest.fixture
async def settings(make_settings: Callable[..., Awaitable[YardSettings]]) -> YardSettings:
    return await make_settings(ack_wait_seconds=ACK_WAIT_SECONDS)


@asynccontextmanager
async def keeping(settings: YardSettings) -> AsyncGenerator[LeaseKeeper, None]:
    keeper = LeaseKeeper(settings, name="test")
    await asyncio.to_thread(keeper.start)
    try:
        yield keeper
    finally:
        await asyncio.to_thread(keeper.stop)


@asynccontextmanager
async def delivering(bus: Bus) -> AsyncGenerator[list[Heard], None]:
    """One job, and the list of its deliveries."""
    got: list[Heard] = []
    puller = Puller(
        bus,
        stream=bus.subjects.stream("jobs"),
        consumer=lane_consumer(Lane.NORMAL),
        group=PIN_GROUP,
        room=lambda: 10,
        on_message=got.append,
    )
    task = asyncio.create_task(puller.run())
    await bus.js.publish(bus.subjects.job(JobAddress(lane=Lane.NORMAL, tenant="t", adapter=None)), b"x")
    try:
        yield got
    finally:
        task.cancel()
        await asyncio.wait([task])


async def redelivered(bus: Bus) -> bool:
    verb = f"CONSUMER.INFO.{bus.subjects.stream('jobs')}.{lane_consumer(Lane.NORMAL)}"
    return bool((await bus.api(verb))["num_redelivered"])


async def test_a_blocked_loop_loses_no_lease(bus: Bus, settings: YardSettings, wait_until: WaitUntil) -> None:
    async with keeping(settings) as keeper, delivering(bus) as got:
        await wait_until(lambda: got)
        keeper.hold(got[0].reply)
        time.sleep(2.5 * ACK_WAIT_SECONDS)  # noqa: ASYNC251  # the very thing: nothing on this loop can renew
        assert keeper.renewals > 2
        assert not await redelivered(bus)
        assert len(keeper) == 1


async def test_what_a_process_with_a_hung_loop_holds_is_given_out_again(
    bus: Bus, settings: YardSettings, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be parked there for ever."""
    monkeypatch.setattr(lorayard_shared.lease, "HUNG_SECONDS", 0.3)
    released = threading.Event()

    async def hang(keeper: LeaseKeeper) -> None:
        watching = asyncio.create_task(keeper.watch())
        await asyncio.sleep(0)
        released.wait()  # the very thing: this loop comes round no more
        watching.cancel()

    async with keeping(settings) as keeper, delivering(bus) as got:
        await wait_until(lambda: got)
        keeper.hold(got[0].reply)
        hung = asyncio.create_task(asyncio.to_thread(asyncio.run, hang(keeper)))
        await wait_until(lambda: len(got) > 1)
        released.set()
        await hung


async def test_a_lease_let_go_runs_out(bus: Bus, settings: YardSettings, wait_until: WaitUntil) -> None:
    async with keeping(settings) as keeper, delivering(bus) as got:
        await wait_until(lambda: got)
        keeper.hold(got[0].reply)
        await wait_until(lambda: keeper.renewals > 0)
        keeper.release(got[0].reply)
        keeper.release("never held")
        assert len(keeper) == 0
        await wait_until(lambda: len(got) > 1)


async def test_a_lease_survives_its_server(own_server: Server, wait_until: WaitUntil) -> None:
    # Two thirds of that are longer than a server takes to start on a busy machine.
    settings = YardSettings(url=own_server.url, ack_wait_seconds=4.0, connect_timeout_seconds=30.0)
    async with await connect(settings, name="test") as bus:
        await declare(bus, topology(settings))
        async with keeping(settings) as keeper, delivering(bus) as got:
            await wait_until(lambda: got)
            keeper.hold(got[0].reply)
            await wait_until(lambda: keeper.renewals > 0)
            own_server.kill()
            own_server.start()
            await wait_until(lambda: bus.reconnects > 0 and bus.connected)
            before = keeper.renewals
            await wait_until(lambda: keeper.renewals > before + 3)
            assert not await redelivered(bus)
            assert len(got) == 1


async def test_a_keeper_without_a_bus_says_so_at_once() -> None:
    nowhere = YardSettings(url="nats://127.0.0.1:1", connect_timeout_seconds=0.3)
    keeper = LeaseKeeper(nowhere, name="test")
    with pytest.raises(BusUnavailableError):
        await asyncio.to_thread(keeper.start)
    assert not keeper.alive()


async def test_a_watch_of_a_dead_keeper_ends(settings: YardSettings) -> None:
    """A process that renews nothing must not look alive."""
    async with keeping(settings) as keeper:
        assert keeper.alive()
    with pytest.raises(Exception, match="renews leases has ended"):
        await keeper.watch()
