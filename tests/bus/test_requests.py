"""Requests: a cancel is never lost in one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import nats.errors
import pytest
from nats.aio.msg import Msg

from lorayard_shared.bus.connection import Bus

pytestmark = pytest.mark.bus

SUBJECT = "test.requests"


def cancel_on_answer(bus: Bus, task: asyncio.Task[Any]) -> None:
    """Cancel the task in the very turn of the loop in which the answer of its request arrives."""
    # No other sign of that moment.
    waiting = cast("dict[str, asyncio.Future[Msg]]", bus.nc._resp_map)  # pyright: ignore

    def cancel(_: asyncio.Future[Msg]) -> None:
        task.cancel()

    next(iter(waiting.values())).add_done_callback(cancel)


async def ask(bus: Bus) -> None:
    await bus.nc.request(SUBJECT, b"", timeout=30)


async def ask_for_ever(bus: Bus) -> None:
    while True:
        with suppress(nats.errors.NoRespondersError):
            await ask(bus)


async def test_a_cancel_that_meets_the_answer_is_not_lost(bus: Bus) -> None:
    """Or a loop that asks again and again would go on, and whoever ends it would wait for ever."""
    asked = asyncio.get_running_loop().create_future()
    await bus.nc.subscribe(SUBJECT, cb=_put_into(asked))
    task = asyncio.create_task(ask_for_ever(bus))
    request = await asked
    cancel_on_answer(bus, task)
    await request.respond(b"here")
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancel_that_meets_a_refusal_is_not_lost(bus: Bus) -> None:
    task = asyncio.create_task(ask_for_ever(bus))
    while not bus.nc._resp_map:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(0)
    cancel_on_answer(bus, task)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_request_that_nobody_cancels_answers_or_raises_as_ever(bus: Bus) -> None:
    with pytest.raises(nats.errors.NoRespondersError):
        await ask(bus)

    async def answer(request: Msg) -> None:
        await request.respond(b"here")

    await bus.nc.subscribe(SUBJECT, cb=answer)
    assert (await bus.nc.request(SUBJECT, b"", timeout=30)).data == b"here"


async def test_requests_at_once_each_get_their_own_answer(bus: Bus) -> None:
    async def echo(request: Msg) -> None:
        await request.respond(request.data)

    await bus.nc.subscribe(SUBJECT, cb=echo)
    bodies = [str(number).encode() for number in range(200)]
    answers = await asyncio.gather(*(bus.nc.request(SUBJECT, body, timeout=30) for body in bodies))
    assert [answer.data for answer in answers] == bodies


async def test_a_request_that_nobody_answers_in_time_raises_and_leaves_nothing_behind(bus: Bus) -> None:
    """And an answer that comes later reaches no other request."""
    asked: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
    await bus.nc.subscribe(SUBJECT, cb=_put_into(asked))
    with pytest.raises(nats.errors.TimeoutError):
        await bus.nc.request(SUBJECT, b"", timeout=0.01)
    assert not bus.nc._resp_map  # pyright: ignore[reportPrivateUsage]
    await (await asked).respond(b"late")

    async def answer(request: Msg) -> None:
        await request.respond(b"in time")

    await bus.nc.subscribe(f"{SUBJECT}.next", cb=answer)
    assert (await bus.nc.request(f"{SUBJECT}.next", b"", timeout=30)).data == b"in time"


def _put_into(asked: asyncio.Future[Msg]) -> Any:
    async def put(request: Msg) -> None:
        asked.set_result(request)

    return put
