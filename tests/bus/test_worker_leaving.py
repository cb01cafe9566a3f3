"""A worker that stops: its jobs go on elsewhere, and the yard knows that it was meant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.bus.conftest import Yard

from lorayard_schemas.job import Job
from lorayard_shared.process import Stop
from lorayard_shared.settings import YardSettings
from lorayard_workers.adapters.catalog import Catalog
from lorayard_workers.app import run_worker
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.request import GenerationRequest
from lorayard_workers.equipment import Equipment
from lorayard_workers.settings import WorkerSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


def job(name: str, prompt: str | None = None) -> Job:
    return Job(id=name, prompt=name if prompt is None else prompt)


async def holds(yard: Yard, jobs: int) -> bool:
    return len((await yard.advert()).load.holding) == jobs


async def test_a_stopping_worker_hands_back_at_once_what_it_cannot_finish(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    """G1: nobody waits for its leases to run out."""
    yard = long_lease_yard
    await yard.dispatcher()
    first = await yard.worker("w1", echo_delay_seconds=60, drain_seconds=0.0)
    for number in range(5):
        await yard.publish(job(f"j{number}"))
    await wait_until(lambda: holds(yard, 5))
    await first.stop()
    await yard.worker("w2")
    for number in range(5):
        maker = (await yard.result(f"j{number}")).maker
        assert maker is not None
        assert maker.worker == "w2"


async def test_what_has_not_begun_starts_elsewhere_while_the_rest_is_finished__g1(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    """The order of events: handed back before the worker has ended, and before what it runs has."""
    yard = long_lease_yard
    await yard.dispatcher()

    def script(request: GenerationRequest) -> Scripted:
        return Scripted(delay_seconds=600.0 if request.prompt == "hold" else 0.001)

    full: dict[str, Any] = {"rows": 1, "lookahead": 15}
    first = await yard.worker("w1", engine=EchoEngine(rows=1, script=script), drain_seconds=15, **full)
    await yard.publish(job("runs", "hold"))
    await wait_until(lambda: holds(yard, 1))
    names = [f"j{number}" for number in range(12)]
    for name in names:
        await yard.publish(job(name, "x"))

    async def some_lie_there() -> bool:
        return len((await yard.advert()).load.holding) > 1

    await wait_until(some_lie_there)
    await yard.worker("w2")
    stopping = asyncio.create_task(first.stop())
    for name in names:
        result = await yard.result(name)
        assert (result.maker and result.maker.worker, result.attempt) == ("w2", 1)
    assert not stopping.done()
    assert await yard.stored("runs") is None
    await yard.cancel("runs")
    await stopping


async def test_a_second_signal_hands_back_what_runs__g1(yard: Yard, settings: YardSettings) -> None:
    """A third one would end the process where it stands."""
    stop, wait_until_held = Stop(), asyncio.Event()
    values = {**settings.model_dump(), "name": "w1", "engine": "echo", "drain_seconds": 15.0}

    def script(request: GenerationRequest) -> Scripted:
        wait_until_held.set()
        return Scripted(delay_seconds=600.0 if not stop.is_set() else 0.0)

    def equip(_: WorkerSettings) -> Equipment:
        return Equipment(engine=EchoEngine(rows=4, script=script), catalog=Catalog())

    worker = asyncio.create_task(run_worker(WorkerSettings.model_validate(values), stop=stop, equip=equip))
    await yard.dispatcher()
    await yard.publish(job("j"))
    await wait_until_held.wait()
    stop.again()
    assert not stop.hurried.is_set()
    stop.again()
    await worker
    await yard.worker("w2")
    assert (await yard.result("j")).attempt == 1


async def test_an_idle_worker_stops(yard: Yard) -> None:
    """In Python 3.11 a cancel that meets what is waited for can be swallowed; it must not hang for that."""
    worker = await yard.worker()
    async with asyncio.timeout(10):
        await worker.stop()


async def test_a_worker_takes_its_advert_down_when_it_leaves(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    worker = await yard.worker()

    async def workers() -> tuple[str, ...]:
        return (await yard.status()).workers

    async def known() -> bool:
        return await workers() == ("w1",)

    async def unknown() -> bool:
        return await workers() == ()

    await wait_until(known)
    await worker.stop()
    await wait_until(unknown)


async def test_a_worker_that_stops_in_order_is_logged_as_left(
    yard: Yard, wait_until: WaitUntil, capsys: pytest.CaptureFixture[str]
) -> None:
    """`worker_died` is for deaths: an operator who restarts workers must not be told of any."""
    await yard.dispatcher()
    worker = await yard.worker()
    told: list[str] = []

    def heard(event: str) -> bool:
        told.append(capsys.readouterr().out)
        return event in "".join(told)

    await wait_until(lambda: heard("worker_appeared"))
    await worker.stop()
    await wait_until(lambda: heard("worker_left") or heard("worker_died"))
    assert "worker_died" not in "".join(told)
