"""A worker that accepts and never answers ends itself, and its jobs are answered elsewhere (G1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tests.bus.conftest import Process, Yard

from lorayard_schemas.job import Job
from lorayard_schemas.result import ErrorKind, ResultState
from lorayard_workers.errors import WorkerHungError

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
EVIL = "what the engine hangs on"


async def hanging(yard: Yard, name: str) -> Process:
    return await yard.worker(name, echo_hangs_on=EVIL, stall_seconds=0.3)


async def handed_over(yard: Yard) -> bool:
    """Of that a worker's own advert tells only as long as it lives."""
    return (await yard.status()).handed_over > 0


async def hangs(yard: Yard, name: str, wait_until: WaitUntil) -> None:
    """A whole life of one that gets such a job, which may be over before it is seen to have begun."""
    worker = await hanging(yard, name)
    await wait_until(lambda: not worker.running)
    await worker.stop()


async def test_a_job_that_a_worker_hangs_on_is_answered_by_another_once(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    """The worker says nothing more on its lease, and its end gives the job out again at once."""
    yard = long_lease_yard
    await yard.dispatcher()
    hung = await hanging(yard, "w1")
    await yard.publish(Job(id="j", prompt=EVIL))
    await wait_until(lambda: handed_over(yard))
    await yard.worker("w2")

    result = await yard.result("j")
    await wait_until(lambda: not hung.running)
    with pytest.raises(WorkerHungError, match="echo-engine"):
        await hung.stop()

    assert result.state is ResultState.SUCCEEDED
    assert result.maker is not None
    assert result.maker.worker == "w2"
    assert await yard.left("results") == 1

    async def nothing_left() -> bool:
        return await yard.left() == 0

    await wait_until(nothing_left)


async def test_with_no_dispatcher_alive_the_lease_of_a_hung_worker_runs_out(
    yard: Yard, wait_until: WaitUntil
) -> None:
    first = await yard.dispatcher("d1")
    hung = await hanging(yard, "w1")
    await yard.publish(Job(id="j", prompt=EVIL))
    await wait_until(lambda: handed_over(yard))
    await first.stop()
    await wait_until(lambda: not hung.running)
    with pytest.raises(WorkerHungError):
        await hung.stop()
    await yard.dispatcher("d2")
    await yard.worker("w2")
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


async def test_a_job_that_hangs_every_worker_is_poison(long_lease_yard: Yard, wait_until: WaitUntil) -> None:
    yard = long_lease_yard
    await yard.dispatcher(max_interruptions=2)
    await yard.publish(Job(id="j", prompt=EVIL))
    for life in ("w1", "w2"):
        assert await yard.stored("j") is None
        with pytest.raises(WorkerHungError):
            await hangs(yard, life, wait_until)
    error = (await yard.result("j")).error
    assert error is not None
    assert error.kind is ErrorKind.POISON
    await yard.worker("w3")
    await yard.publish(Job(id="k", prompt="fine"))
    assert (await yard.result("k")).state is ResultState.SUCCEEDED
