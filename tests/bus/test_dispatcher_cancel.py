"""A cancel ends a job wherever it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgpack
import nats.errors
import pytest
from tests.bus.conftest import Yard

from lorayard_schemas.assignment import CancelJob, CancelOutcome
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_schemas.result import ResultState

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


def job(name: str, prompt: str = "hello", *, deadline: float | None = None) -> Job:
    return Job(id=name, prompt=prompt, deadline=deadline)


async def nothing_left(yard: Yard) -> bool:
    return await yard.left() == 0


@pytest.mark.parametrize("adapter", [None, "a/b/c"], ids=["parked", "not resolved yet"])
async def test_a_waiting_job_is_cancelled(adapter: str | None, yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    await yard.publish(job("j"), adapter=adapter)

    async def taken() -> bool:
        return (await yard.status()).taken == 1

    await wait_until(taken)
    assert await yard.cancel("j") is CancelOutcome.CANCELLED
    assert (await yard.result("j")).state is ResultState.CANCELLED
    await wait_until(lambda: nothing_left(yard))
    assert await yard.cancel("j") is CancelOutcome.FINISHED


async def test_a_job_is_cancelled_whichever_dispatcher_has_it(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    """The order goes to any of them, also to one that stands by."""
    yard = long_lease_yard
    await yard.dispatcher("d1")
    await yard.dispatcher("d2")
    names = [f"j{number}" for number in range(12)]
    for name in names:
        await yard.publish(job(name))

    async def all_taken() -> bool:
        return (await yard.status()).taken == len(names)

    await wait_until(all_taken)
    for name in names:
        assert await yard.cancel(name) is CancelOutcome.CANCELLED
        assert (await yard.result(name)).state is ResultState.CANCELLED
    # One that is left parked would keep its lease and run later, for nothing.
    await wait_until(lambda: nothing_left(yard))


async def test_a_job_that_comes_after_another_was_asked_to_cancel_it_never_runs(
    yard: Yard,
) -> None:
    """Whoever is asked may stand by: the one that is active hears of it and gets the job later."""
    await yard.dispatcher()
    await yard.worker()
    told = encode(CancelJob(tenant="acme", job="j"))
    with pytest.raises(nats.errors.TimeoutError):  # nobody has it, so nobody answers
        await yard.bus.nc.request(yard.bus.subjects.dispatcher("cancel-parked"), told, timeout=0.5)
    await yard.publish(job("j"))
    assert (await yard.result("j")).state is ResultState.CANCELLED


async def test_a_running_job_is_cancelled(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    await yard.worker(echo_delay_seconds=60)
    await yard.publish(job("j"))

    async def handed_over() -> bool:
        return (await yard.status()).handed_over == 1

    await wait_until(handed_over)
    assert await yard.cancel("j") is CancelOutcome.CANCELLED
    result = await yard.result("j")
    assert result.state is ResultState.CANCELLED
    await wait_until(lambda: nothing_left(yard))


async def test_a_finished_job_is_too_late_to_cancel(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(job("j"))
    await yard.result("j")
    assert await yard.cancel("j") is CancelOutcome.FINISHED
    assert (await yard.result("j")).state is ResultState.SUCCEEDED


@pytest.mark.usefixtures("patient_looks")
async def test_a_job_cancelled_before_it_was_seen_never_runs(yard: Yard, wait_until: WaitUntil) -> None:
    """Whatever the order in which order and job arrive."""
    await yard.dispatcher()
    await yard.worker()
    assert await yard.cancel("j") is CancelOutcome.UNKNOWN
    await yard.publish(job("j"))
    await wait_until(lambda: nothing_left(yard))
    assert (await yard.result("j")).state is ResultState.CANCELLED
    assert (await yard.status()).handed_over == 0


async def test_a_cancel_without_a_tenant_is_refused_with_the_field(yard: Yard) -> None:
    await yard.dispatcher()
    body = msgpack.packb({"tenant": "", "job": "j"})
    reply = await yard.bus.nc.request(yard.bus.subjects.dispatcher("cancel"), body, timeout=30)
    assert reply.headers is not None
    assert reply.headers["Nats-Service-Error-Code"] == "400"
    assert "tenant" in reply.headers["Nats-Service-Error"]
