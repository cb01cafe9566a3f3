"""Workers that hang say where; workers that have grown old make room for fresh ones, one at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest
import structlog

from lorayard_cli.worker_ends import worker_ends
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.audit import WorkerEnd, WorkerEndRecord
from lorayard_schemas.job import Job
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.errors import SettingsError
from lorayard_shared.logs import Event
from lorayard_workers.errors import WorkerHungError, WorkerRecycledError
from lorayard_workers.service.recycling import Recycling
from lorayard_workers.service.resident import resident_bytes

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
EVIL = "what the engine hangs on"


class Process(Protocol):
    """A dispatcher or worker of the yard."""

    async def stop(self) -> None: ...

    @property
    def running(self) -> bool: ...


class Advert(Protocol):
    """What a worker says of itself."""

    @property
    def load(self) -> WorkerLoad: ...


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> Process: ...
    async def worker(self, name: str = "w1", **given: object) -> Process: ...
    async def publish(self, body: Job | bytes) -> int: ...
    async def result(self, job: str, *, tenant: str = "acme") -> JobResult: ...
    async def left(self, kind: str = "jobs") -> int: ...


async def last_word(yard: Yard, wait_until: WaitUntil) -> WorkerEndRecord:
    """The one of w1, which the server stores a moment after it was sent."""

    async def there() -> bool:
        return bool(await worker_ends(yard.bus, "w1"))

    await wait_until(there)
    (end,) = await worker_ends(yard.bus, "w1")
    return end


async def test_a_worker_that_hangs_leaves_its_stacks_where_an_operator_finds_them(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    hung = await yard.worker(echo_hangs_on=EVIL, stall_seconds=0.3)
    await yard.publish(Job(id="j", prompt=EVIL))
    await wait_until(lambda: not hung.running)
    with pytest.raises(WorkerHungError):
        await hung.stop()
    end = await last_word(yard, wait_until)
    assert (end.end, len(end.jobs)) == (WorkerEnd.HUNG, 1)
    assert "echo-engine" in end.reason
    assert "echo.py" in end.stacks
    assert end.resident_bytes > 2**20
    assert await worker_ends(yard.bus) == [end]
    assert await worker_ends(yard.bus, "w2") == []


async def test_a_worker_is_recycled_after_its_jobs_and_loses_none(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    old = await yard.worker("w1", recycle_jobs=3, echo_delay_seconds=0.05)
    for number in range(20):
        await yard.publish(Job(id=f"j{number}", prompt="x"))
    await wait_until(lambda: not old.running)
    with pytest.raises(WorkerRecycledError, match="recycled after 3"):
        await old.stop()
    await yard.worker("w1", recycle_jobs=1000)
    results = [await yard.result(f"j{number}") for number in range(20)]
    assert {(result.state, result.attempt) for result in results} == {(ResultState.SUCCEEDED, 1)}
    end = await last_word(yard, wait_until)
    assert end.end is WorkerEnd.RECYCLED
    assert await yard.left("results") == 20


async def test_only_one_worker_of_a_yard_is_recycled_at_a_time(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    both = [await yard.worker(name, recycle_jobs=1) for name in ("w1", "w2")]
    for number in range(40):
        await yard.publish(Job(id=f"j{number}", prompt="x"))
    await wait_until(lambda: not all(one.running for one in both))
    (first,) = [number for number, one in enumerate(both) if not one.running]
    with pytest.raises(WorkerRecycledError):
        await both[first].stop()
    for number in range(40):
        await yard.result(f"j{number}")
    assert both[1 - first].running
    again = await yard.worker(f"w{first + 1}", recycle_jobs=1000)  # it is there again: the other's turn
    await yard.publish(Job(id="last", prompt="x"))
    await yard.result("last")
    await wait_until(lambda: not both[1 - first].running)
    with pytest.raises(WorkerRecycledError):
        await both[1 - first].stop()
    assert again.running


def recycling(bus: Bus, worker: str, taken: list[int], done: list[int]) -> Recycling:
    return Recycling(
        bus,
        worker=worker,
        jobs_done=lambda: done[0],
        after_jobs=None,
        after_bytes=1000,
        drain_seconds=1.0,
        resident=lambda: taken[0],
    )


async def test_the_turn_is_one_workers_until_it_is_there_again(bus: Bus) -> None:
    first, second = (recycling(bus, name, [0], [0]) for name in ("w1", "w2"))
    assert await first.take_turn()
    assert not await second.take_turn()
    await second.give_turn_back()  # it has none to give
    assert not await second.take_turn()
    await first.give_turn_back()
    assert await second.take_turn()


async def test_a_turn_whose_taking_was_confirmed_too_late_is_the_workers(bus: Bus) -> None:
    first, second = (recycling(bus, name, [0], [0]) for name in ("w1", "w2"))
    assert await first.take_turn()
    assert await first.take_turn()
    assert not await second.take_turn()


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"nobody", b"x" * 100_000])
async def test_a_turn_that_other_hands_wrote_without_an_end_is_taken_away(bus: Bus, value: bytes) -> None:
    await bus.js.publish(f"$KV.{bus.subjects.bucket('turns')}.recycling", value)
    one = recycling(bus, "w1", [0], [0])
    with structlog.testing.capture_logs() as logs:
        assert [await one.take_turn(), await one.take_turn()] == [False, True]
    assert [entry["event"] for entry in logs] == [Event.MESSAGE_MALFORMED]


async def test_memory_counts_only_beyond_what_the_worker_starts_with(bus: Bus) -> None:
    with pytest.raises(SettingsError, match="RECYCLE_RSS_BYTES"):
        recycling(bus, "w1", [1000], [0]).check()
    taken, done = [999], [0]
    one = recycling(bus, "w1", taken, done)
    one.check()
    taken[0] = 1000
    assert one.reason() is None
    done[0] = 1
    assert "1000 bytes" in (one.reason() or "")
    assert resident_bytes() > 2**20
