"""How tasks end: what they do at last is not cut, and one that does not hear is told again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import nats.errors
import pytest

from lorayard_shared.process import end_in_order, end_tasks

BREATHS = 50


async def test_what_a_task_does_at_last_is_not_cut() -> None:
    written: list[str] = []

    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(BREATHS):
                await asyncio.sleep(0)
            written.append("all")

    for last_seconds, expected in ((0.0, 0), (60.0, 1)):
        task = asyncio.create_task(run())
        await asyncio.sleep(0)
        await end_tasks([task], last_seconds=last_seconds)
        assert len(written) == expected


async def test_a_task_that_swallows_a_cancel_is_cancelled_again() -> None:
    async def run() -> None:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    await end_tasks([task], last_seconds=0.0)
    assert task.done()


async def test_a_step_of_a_stop_that_fails_keeps_none_behind_it_from_being_done() -> None:
    done: list[str] = []

    async def step(name: str, error: Exception | None = None) -> None:
        done.append(name)
        if error is not None:
            raise error

    steps = {
        "first": partial(step, "first"),
        "away": partial(step, "away", nats.errors.ConnectionClosedError()),
        "broken": partial(step, "broken", ValueError("ours")),
        "last": partial(step, "last"),
    }
    with pytest.raises(ValueError, match="ours"):
        await end_in_order(steps)
    assert done == ["first", "away", "broken", "last"]
