"""Standing pulls: they bring what there is room for, outlive their server, and one at a time gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.delivery import ACK
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.puller import Puller
from lorayard_shared.bus.topology import PIN_GROUP, lane_consumer
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
JOB = JobAddress(lane=Lane.NORMAL, tenant="t", adapter=None)


class Server(Protocol):
    """A server that a test kills and starts again."""

    def start(self) -> None:
        """Start it, on the port and the store it had."""

    def kill(self) -> None:
        """End it as a power cut would."""


class Pulling:
    """A puller of the normal lane that keeps what it gets."""

    def __init__(self, bus: Bus, room: int = 1000) -> None:
        self.bus = bus
        self.room = room
        self.got: list[Heard] = []
        self.puller = Puller(
            bus,
            stream=bus.subjects.stream("jobs"),
            consumer=lane_consumer(Lane.NORMAL),
            group=PIN_GROUP,
            room=lambda: self.room - len(self.got),
            on_message=lambda message: self.got.append(message),
        )
        self._task = asyncio.create_task(self.puller.run())

    @property
    def bodies(self) -> list[bytes]:
        return [message.data for message in self.got]

    async def ack_all(self) -> None:
        got, self.got = self.got, []
        for message in got:
            await self.bus.nc.publish(message.reply, ACK)
        await self.bus.nc.flush()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def publish(bus: Bus, *bodies: bytes) -> None:
    for body in bodies:
        await bus.js.publish(bus.subjects.job(JOB), body)


async def test_everything_that_is_there_and_comes_later_is_brought_in_order(
    bus: Bus, wait_until: WaitUntil
) -> None:
    await publish(bus, b"1", b"2")
    pulling = Pulling(bus)
    await wait_until(lambda: len(pulling.got) == 2)
    await publish(bus, b"3")
    await wait_until(lambda: len(pulling.got) == 3)
    assert pulling.bodies == [b"1", b"2", b"3"]
    await pulling.stop()


async def test_no_more_comes_than_there_is_room_for(bus: Bus, wait_until: WaitUntil) -> None:
    await publish(bus, *(b"%d" % number for number in range(10)))
    pulling = Pulling(bus, room=4)
    await wait_until(lambda: len(pulling.got) == 4)
    consumer = f"CONSUMER.INFO.{bus.subjects.stream('jobs')}.{lane_consumer(Lane.NORMAL)}"
    info = await bus.api(consumer)
    assert (info["num_ack_pending"], info["num_pending"]) == (4, 6), "what is not asked for is not given out"
    pulling.room = 10
    pulling.puller.nudge()
    await wait_until(lambda: len(pulling.got) == 10)
    await pulling.stop()


@pytest.mark.parametrize("status", ["100", "404", "408", "423", "503"])
async def test_a_publishers_own_status_header_hides_no_job(
    status: str, bus: Bus, wait_until: WaitUntil
) -> None:
    """The server's statuses come in a header of that name; a job with one is a job all the same (E1)."""
    await bus.js.publish(bus.subjects.job(JOB), b"mine", headers={"Status": status})
    pulling = Pulling(bus)
    await wait_until(lambda: pulling.bodies == [b"mine"])
    await pulling.stop()


async def test_pulls_go_on_after_the_server_was_killed(
    own_server: Server, own_settings: YardSettings, wait_until: WaitUntil
) -> None:
    """A pull that was sent is lost with the server (G1)."""
    async with await connect(own_settings, name="test") as bus:
        pulling = Pulling(bus)
        await publish(bus, b"before")
        await wait_until(lambda: pulling.bodies == [b"before"])
        await pulling.ack_all()
        own_server.kill()
        await wait_until(lambda: not bus.connected)
        own_server.start()
        await wait_until(lambda: bus.connected)
        await publish(bus, b"after")
        await wait_until(lambda: b"after" in pulling.bodies)
        await pulling.stop()


async def test_a_second_puller_gets_nothing_until_the_first_is_silent(
    bus: Bus, settings: YardSettings, wait_until: WaitUntil
) -> None:
    """The server elects the active dispatcher, and fails over by itself."""
    async with await connect(settings, name="second") as other:
        first = Pulling(bus)
        await publish(bus, b"1")
        await wait_until(lambda: first.bodies == [b"1"])
        second = Pulling(other)
        await wait_until(lambda: second.puller.last_answer > 0)
        await publish(bus, *(b"%d" % number for number in range(2, 30)))
        await wait_until(lambda: len(first.got) == 29)
        assert second.got == []
        await first.ack_all()
        await first.stop()
        await publish(bus, b"30")
        await wait_until(lambda: second.bodies == [b"30"])
        await second.stop()
