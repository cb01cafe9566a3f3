"""Waits with one timer end as those with one each do."""

from __future__ import annotations

import asyncio

import pytest

from lorayard_shared.time_limit import TimeLimit, Wait

SHORT_SECONDS = 0.01


async def for_ever(limit: TimeLimit, waits: list[Wait] | None = None) -> None:
    async with limit.wait() as wait:
        if waits is not None:
            waits.append(wait)
        await asyncio.get_running_loop().create_future()


async def test_each_of_many_waits_ends_in_time() -> None:
    limit = TimeLimit(SHORT_SECONDS)
    ended = await asyncio.gather(*(for_ever(limit) for _ in range(10)), return_exceptions=True)
    assert [type(error) for error in ended] == [TimeoutError] * 10


async def test_the_timer_goes_on_to_the_next() -> None:
    limit = TimeLimit(SHORT_SECONDS)
    for _ in range(3):
        async with limit.wait():
            pass
        with pytest.raises(TimeoutError):
            await for_ever(limit)


async def test_what_is_over_in_time_is_not_ended_later() -> None:
    limit = TimeLimit(SHORT_SECONDS)
    async with limit.wait() as wait:
        pass
    with pytest.raises(TimeoutError):
        await for_ever(limit)
    wait.end()
    assert not wait.ended
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_a_wait_is_ended_by_whoever_has_it() -> None:
    limit, waits = TimeLimit(60.0), list[Wait]()
    task = asyncio.create_task(for_ever(limit, waits))
    await asyncio.sleep(0)
    waits[0].end()
    waits[0].end()
    with pytest.raises(TimeoutError):
        await task
    assert waits[0].ended


async def test_a_cancel_from_outside_stays_one() -> None:
    limit, waits = TimeLimit(60.0), list[Wait]()
    task = asyncio.create_task(for_ever(limit, waits))
    await asyncio.sleep(0)
    task.cancel()
    waits[0].end()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_body_stays_one() -> None:
    limit = TimeLimit(60.0)
    with pytest.raises(ValueError, match="mine"):
        async with limit.wait():
            raise ValueError("mine")


async def test_of_two_waits_around_each_other_the_one_that_is_over_tells() -> None:
    outer, inner = TimeLimit(60.0), TimeLimit(SHORT_SECONDS)
    async with outer.wait() as around:
        with pytest.raises(TimeoutError):
            await for_ever(inner)
    assert not around.ended
