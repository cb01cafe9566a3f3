"""A message that somebody terminates (`+TERM`) still ends in one result or one dead letter (E3)."""

from __future__ import annotations

import ast
import math
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import Yard

import lorayard
import lorayard_dispatcher
import lorayard_shared
import lorayard_workers
from lorayard import Client, GenerateRequest
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import ResultState
from lorayard_shared.bus.deleting import delete_message
from lorayard_shared.bus.delivery import TERM
from lorayard_shared.bus.scanning import PAGE_MESSAGES
from lorayard_shared.bus.topology import lane_consumer
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


async def terminate(yard: Yard, sequence: int) -> None:
    """As any program may that can publish there; the server looks at the message's number alone."""
    stream, name = yard.bus.subjects.stream("jobs"), lane_consumer(Lane.NORMAL)
    info = await yard.bus.api(f"CONSUMER.INFO.{stream}.{name}")
    delivery = info["delivered"]["consumer_seq"]
    await yard.bus.nc.publish(f"$JS.ACK.{stream}.{name}.1.{sequence}.{delivery}.0.0", TERM)


async def letters(yard: Yard, count: int) -> bool:
    return len(await yard.dead_letters()) == count


async def test_a_parked_job_that_is_terminated_is_given_up_with_a_letter__e3(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    yard = long_lease_yard
    await yard.dispatcher("d1")
    await yard.dispatcher("d2")
    sequence = await yard.publish(Job(id="j", prompt="x"))

    async def taken() -> bool:
        return (await yard.status()).parked != ()

    await wait_until(taken)
    await terminate(yard, sequence)
    result = await yard.result("j")
    assert (result.state, result.error and result.error.code) == (ResultState.FAILED, "terminated")
    await wait_until(lambda: letters(yard, 1))
    (letter,) = await yard.dead_letters()
    assert (letter.job, letter.code, letter.sequence) == ("j", "terminated", sequence)
    assert b"x" in letter.body, "it can be redriven"


@pytest.mark.parametrize("dies", [False, True], ids=["ends", "dies"])
async def test_a_terminated_job_at_a_worker_ends_there_or_with_it__e3(
    dies: bool, long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    yard, seconds = long_lease_yard, math.inf
    engine = EchoEngine(rows=1, script=lambda _: Scripted(delay_seconds=seconds))
    await yard.dispatcher()
    worker = await yard.worker(engine=engine, drain_seconds=0.0)
    sequence = await yard.publish(Job(id="j", prompt="x"))

    async def holds() -> bool:
        return len((await yard.advert()).load.holding) == 1

    await wait_until(holds)
    await terminate(yard, sequence)
    await wait_until(lambda: gone(yard))
    if dies:
        await worker.stop()  # it hands back what nobody gives out any more
        assert (await yard.result("j")).error is not None
    else:
        await yard.cancel("j")
        assert (await yard.result("j")).state is ResultState.CANCELLED
        assert await yard.dead_letters() == []


async def test_a_terminated_job_is_given_up_with_its_worker_however_long_the_queue_is__e3(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    yard = long_lease_yard
    engine = EchoEngine(rows=1, script=lambda _: Scripted(delay_seconds=math.inf))
    await yard.dispatcher(window=1)
    worker = await yard.worker(engine=engine, drain_seconds=0.0)
    sequence = await yard.publish(Job(id="j", prompt="x"))

    async def holds() -> bool:
        return len((await yard.advert()).load.holding) == 1

    await wait_until(holds)
    async with Client(settings=yard.settings, tenant="acme") as client:
        await client.submit_many([GenerateRequest("x", lane="bulk")] * (PAGE_MESSAGES + 1))
    await terminate(yard, sequence)

    async def only_others() -> bool:
        return await yard.left() == PAGE_MESSAGES + 1

    await wait_until(only_others)
    await worker.stop()
    result = await yard.result("j")
    assert result.error is not None
    assert result.error.code == "terminated"


async def test_a_parked_job_whose_message_was_deleted_is_still_run__e3(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    """The server says "terminated" of it, too."""
    yard = long_lease_yard
    await yard.dispatcher()
    sequence = await yard.publish(Job(id="j", prompt="x"))

    async def taken() -> bool:
        return (await yard.status()).parked != ()

    await wait_until(taken)
    await delete_message(yard.bus, yard.bus.subjects.stream("jobs"), sequence)
    await yard.worker()
    assert (await yard.result("j")).state is ResultState.SUCCEEDED
    assert await yard.dead_letters() == []


async def gone(yard: Yard) -> bool:
    return await yard.left() == 0


def test_nothing_of_ours_says_term__e3() -> None:
    for package in (lorayard, lorayard_dispatcher, lorayard_shared, lorayard_workers):
        for place in package.__path__:
            for file in Path(place).rglob("*.py"):
                names = {
                    name.name
                    for node in ast.walk(ast.parse(file.read_text()))
                    if isinstance(node, ast.ImportFrom)
                    for name in node.names
                }
                assert "TERM" not in names, file
