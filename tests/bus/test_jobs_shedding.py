"""Jobs that would wait in vain are told so when they come, on the real bus (E5)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import pytest
from tests.bus.conftest import Yard

from lorayard import Client, JobExpiredError
from lorayard_dispatcher.limiting import shedding
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import ResultState

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


BACKLOG = 600


async def backlog(yard: Yard, wait_until: WaitUntil, *, enabled: bool) -> None:
    """Jobs of one tenant, 90 s of work for half of that; some are through."""
    await yard.dispatcher(shed_hopeless=enabled, wait_bound_seconds=(12.0, 24.0, 45.0, 90.0))
    soon = time.time() + 45.0
    jobs = [Job(id=f"j{number}", prompt="p", deadline=soon) for number in range(BACKLOG)]
    await asyncio.gather(*(yard.publish(job, tenant="acme") for job in jobs))
    await yard.worker(engine="echo", echo_delay_seconds=0.15, rows=1, lookahead=0)

    async def under_way() -> bool:
        return (await yard.status()).handed_over >= 10

    await wait_until(under_way)


async def taken(yard: Yard, wait_until: WaitUntil, count: int) -> None:
    async def came() -> bool:
        return (await yard.status()).taken >= count

    await wait_until(came)


@pytest.fixture
def quick_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pace that was seen for a moment is believed."""
    monkeypatch.setattr(shedding, "SURE_SECONDS", 0.2)
    monkeypatch.setattr(shedding, "SURE_JOBS", 5)


@pytest.mark.usefixtures("quick_judge")
async def test_a_job_that_would_wait_beyond_its_deadline_is_told_so_at_once__e5(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await backlog(yard, wait_until, enabled=True)
    async with Client(settings=yard.settings, tenant="acme") as client:
        with pytest.raises(JobExpiredError, match=r"jobs of its tenant .* go first") as it:
            await client.generate("p", deadline_seconds=48, timeout_seconds=100)
        assert it.value.result.error is not None
        assert it.value.result.error.code == "shed"
        # One that goes before those, one with time enough, another tenant's, and one without a deadline.
        await yard.publish(Job(id="first", prompt="p", deadline=time.time() + 24), tenant="acme")
        await yard.publish(Job(id="later", prompt="p", deadline=time.time() + 180), tenant="acme")
        await yard.publish(Job(id="other", prompt="p", deadline=time.time() + 48), tenant="other")
        await yard.publish(Job(id="ever", prompt="p"), tenant="acme")
        assert (await yard.result("first")).state is ResultState.SUCCEEDED
        await taken(yard, wait_until, BACKLOG + 5)
    assert (await yard.status()).shed_hopeless == 1


@pytest.mark.usefixtures("quick_judge")
async def test_shedding_by_deadline_can_be_turned_off__e5(yard: Yard, wait_until: WaitUntil) -> None:
    await backlog(yard, wait_until, enabled=False)
    await yard.publish(Job(id="late", prompt="p", deadline=time.time() + 48), tenant="acme")
    await taken(yard, wait_until, BACKLOG + 1)
    assert (await yard.status()).shed_hopeless == 0
    assert await yard.stored("late") is None


async def test_a_lane_that_is_too_long_sheds_the_lanes_below_it__e5(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher(lane_bounds=(None, None, 5, None))
    for number in range(6):
        await yard.publish(Job(id=f"n{number}", prompt="p"), lane=Lane.NORMAL)
    numbers = itertools.count()

    async def shed() -> bool:
        await yard.publish(Job(id=f"b{next(numbers)}", prompt="p"), lane=Lane.BULK)
        return (await yard.status()).shed_by_lane > 0

    await wait_until(shed)
    await yard.publish(Job(id="last", prompt="p"), lane=Lane.BULK)
    error = (await yard.result("last")).error
    assert error is not None
    assert (error.code, error.retry_after_seconds is not None) == ("shed", True)
    assert "6 jobs wait in lane normal, and from 5 on lane bulk takes no more" in error.message
    await yard.publish(Job(id="urgent", prompt="p"), lane=Lane.URGENT)
    await yard.publish(Job(id="normal", prompt="p"), lane=Lane.NORMAL)
    await yard.worker()
    assert (await yard.result("urgent")).state is ResultState.SUCCEEDED
    assert (await yard.result("normal")).state is ResultState.SUCCEEDED
