"""What the server loses as it dies costs no job its lease: then it is asked who holds what (E3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from nats.aio.msg import Msg
from tests.bus.conftest import RunningServer, Yard
from tests.bus.fleet_trouble.conftest import Beating, Impostor

from lorayard_schemas.assignment import RefusalReason
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import ResultState
from lorayard_shared.bus.connection import connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.priority import serve_by_priority
from lorayard_shared.bus.puller import Puller
from lorayard_shared.bus.topology import PIN_GROUP, lane_consumer, topology
from lorayard_shared.process import end_tasks
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def yard(own_server: RunningServer, wait_until: WaitUntil) -> AsyncIterator[Yard]:
    """On a server to be killed; leases outlast every wait."""
    settings = YardSettings(url=own_server.url, prefix="own", ack_wait_seconds=600.0)
    async with await connect(settings, name="test") as bus:
        await declare(bus, topology(settings))
        yard = Yard(settings, bus, wait_until)
        yield yard
        await yard.stop()


class Deaf(Impostor):
    """A worker that hears an assignment as its server dies: its answer is lost."""

    deaf = True
    heard = 0

    async def _assigned(self, message: Msg) -> None:
        self.heard += 1
        if not self.deaf:
            await super()._assigned(message)


@pytest.mark.parametrize("takes", [True, False], ids=["it takes them then", "it does not want them then"])
async def test_jobs_whose_assignment_was_lost_with_the_server_do_not_wait_for_their_lease__e3(
    takes: bool, yard: Yard, own_server: RunningServer, beating: Beating, wait_until: WaitUntil
) -> None:
    worker = Deaf(yard.bus, "deaf")
    worker.works = True
    worker.answer = lambda _: None if takes else RefusalReason.NO_ROOM
    await yard.dispatcher()
    await beating(worker)
    await yard.publish(Job(id="j", prompt="x"))
    await wait_until(lambda: worker.heard == 1)
    worker.deaf = False
    await _restart(own_server, yard, wait_until)
    if not takes:
        await yard.worker()
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


async def test_a_job_that_the_server_gave_out_as_it_died_comes_again__e3(
    yard: Yard, own_server: RunningServer, wait_until: WaitUntil
) -> None:
    await yard.publish(Job(id="j", prompt="x"))
    await _give_to_nobody(yard.settings, wait_until)
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(Job(id="k", prompt="x"))
    assert (await yard.result("k")).state is ResultState.SUCCEEDED
    assert await yard.stored("j") is None, "whoever had it is to be waited for"
    await _restart(own_server, yard, wait_until)
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


async def _restart(server: RunningServer, yard: Yard, wait_until: WaitUntil) -> None:
    """The server dies and comes back, and everybody who asks it has heard of that."""
    before = yard.bus.reconnects
    server.kill()
    server.start()
    await wait_until(lambda: yard.bus.reconnects > before)


async def _give_to_nobody(settings: YardSettings, wait_until: WaitUntil) -> None:
    """Have the server give one job out to whoever is gone then."""
    name = lane_consumer(Lane.NORMAL)
    consumer = next(one for one in topology(settings).consumers if one.name == name)
    got: list[Heard] = []
    async with await connect(settings, name="nobody") as bus:
        await serve_by_priority(bus, consumer)
        puller = Puller(
            bus,
            stream=consumer.stream,
            consumer=name,
            group=PIN_GROUP,
            room=lambda: 1 - len(got),
            on_message=got.append,
            priority=lambda: 0,
        )
        pulling = asyncio.create_task(puller.run())
        await wait_until(lambda: bool(got))
        await end_tasks([pulling])
