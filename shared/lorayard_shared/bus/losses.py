"""Questions that the server answers in several messages: a connection that breaks takes the rest of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import nats.errors

from lorayard_shared.bus.connection import Bus

LOSS_LOOK_SECONDS = 0.1
"""Between two looks at whether the connection was lost, which takes the question with it."""

RETURN_SECONDS = 5.0
"""A bus that is restarted is back in one."""

TRIES = 4

T = TypeVar("T")


async def answered(bus: Bus, end: asyncio.Future[T], losses: int, *, seconds: float) -> T:
    """What ends the answer; `losses` are the disconnects before it was asked.

    Raises:
        nats.errors.TimeoutError: it did not come in that time, or will not: a server that came back knows
            nothing of what was asked before.
    """
    last = time.monotonic() + seconds
    while not end.done():
        if bus.disconnects != losses or time.monotonic() > last:
            raise nats.errors.TimeoutError
        await asyncio.wait({end}, timeout=LOSS_LOOK_SECONDS)
    return end.result()


async def asked_again(bus: Bus, ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, asked for anew where the connection broke meanwhile and is there again.

    Raises:
        nats.errors.TimeoutError: a server that is there did not answer, or none is.
    """
    for left in reversed(range(TRIES)):
        losses = bus.disconnects
        try:
            return await ask()
        except nats.errors.TimeoutError:
            if not left or bus.disconnects == losses or not await bus.returned(RETURN_SECONDS):
                raise
    raise AssertionError("the last try returns or raises")
