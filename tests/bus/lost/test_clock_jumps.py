"""A client whose clock is an hour off, or jumps, keeps what it says in seconds (E4, G2)."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from types import ModuleType

import pytest
from tests.bus.conftest import Yard

from lorayard import CancelQuery, Client, JobPlace, JobTimeoutError, deadline

pytestmark = pytest.mark.bus

HOUR = 3600.0


class WrongTime(ModuleType):
    """The module `time` of a process whose clock is off; what runs by itself is right."""

    def __init__(self, off_seconds: float) -> None:
        super().__init__("time")
        self._off_seconds = off_seconds

    def time(self) -> float:
        return time.time() + self._off_seconds

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


@pytest.fixture(params=[HOUR, -HOUR], ids=["an hour fast", "an hour slow"])
def wrong_clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of this process's clients, and of nothing else in it."""
    wrong = WrongTime(request.param)
    for name, module in list(sys.modules.items()):
        if name.startswith("lorayard.") and getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", wrong)


@pytest.fixture
async def client(yard: Yard, wrong_clock: None) -> AsyncIterator[Client]:
    """Of a yard in which nobody lives yet: to a dispatcher pauses come on another way than jobs."""
    async with Client(settings=yard.settings, tenant="acme") as client:
        yield client


async def begin(yard: Yard) -> None:
    """From here on jobs are done."""
    await yard.dispatcher()
    await yard.worker()


async def test_a_job_with_a_deadline_is_answered_and_one_for_later_is_not_late__e4(
    yard: Yard, client: Client
) -> None:
    await begin(yard)
    assert (await client.generate("hello", deadline_seconds=60, timeout_seconds=30)).text == "hello"
    assert (await client.generate("hello", delay_seconds=0.3, timeout_seconds=30)).text == "hello"
    with deadline(seconds=30):
        assert (await client.generate("hello")).text == "hello"


async def test_a_deadline_passes_when_it_should__e4(yard: Yard, client: Client) -> None:
    await client.control.pause("tenant", "acme", reason="to be late")
    await begin(yard)
    late = await client.submit("hello", deadline_seconds=0.5)
    assert (await late.outcome(30)).state == "expired"


async def test_a_wait_ends_in_its_time(yard: Yard, client: Client) -> None:
    await client.control.pause("tenant", "acme", reason="to wait")
    await begin(yard)
    handle = await client.submit("hello")
    began = time.monotonic()
    with pytest.raises(JobTimeoutError):
        await handle.result(0.2)
    assert (await client.wait([handle], timeout_seconds=0.2)).pending == [handle]
    assert time.monotonic() - began < HOUR / 60


async def test_a_pause_holds_for_as_long_as_was_said_and_no_longer__e5(yard: Yard, client: Client) -> None:
    await client.control.pause("tenant", "acme", reason="a while", for_seconds=600)
    await begin(yard)
    handle = await client.submit("hello")
    assert [pause.name for pause in (await client.control.list()).pauses] == ["acme"]
    assert (await handle.status()).place in (JobPlace.HELD, JobPlace.QUEUED, JobPlace.PARKED)
    await client.control.resume("tenant", "acme")
    await client.control.pause("tenant", "acme", reason="a moment", for_seconds=0.5)
    assert (await handle.result(30)).text == "hello"


async def test_only_jobs_that_are_old_are_cancelled_as_old__e4(yard: Yard, client: Client) -> None:
    await client.control.pause("tenant", "acme", reason="to be looked for")
    await begin(yard)
    handle = await client.submit("hello")
    old = CancelQuery(older_than_seconds=1800)
    assert (await client.cancel_where(old)).outcomes == {}
    young = CancelQuery(older_than_seconds=0)
    assert set((await client.cancel_where(young)).outcomes) == {handle.id}


async def test_a_schedule_counts_from_now__e4(yard: Yard, client: Client) -> None:
    await begin(yard)
    before = time.time()
    plan = await client.schedules.add("minutely", "hello", cron="* * * * *")
    assert before - 60 < plan.since < time.time() + 60
    await client.schedules.pause("minutely")
    assert before - 60 < (await client.schedules.resume("minutely")).since < time.time() + 60
    assert (await (await client.schedules.run_now("minutely")).result(30)).text == "hello"
