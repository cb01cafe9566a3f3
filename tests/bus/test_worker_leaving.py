"""A worker that stops: its jobs go on elsewhere, and the yard knows that it was meant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.bus.conftest import Yard

from lorayard_schemas.job import Job

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
