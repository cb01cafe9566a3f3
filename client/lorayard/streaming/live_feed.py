"""One job's events as the server announces them: a bounded number, and word of what went by.

A core subscription of the job's own on the subject where the stream republishes: nothing of it stays on the
server when the client goes, and an event comes with its place in the stream and that of the one before it.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

import nats.errors
from nats.aio.subscription import Subscription

from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard

MAX_EVENTS = 128
MAX_BYTES = 1024 * 1024
"""Kept for a reader that is slow: some seconds of its job. The rest it reads from the stream later."""

_PLACE = re.compile(rb"\r\nNats-Sequence: ?(\d+)").search
_BEFORE = re.compile(rb"\r\nNats-Last-Sequence: ?(\d+)").search


class LiveFeed:
    """What was announced and not read yet."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._reconnects = bus.reconnects
        self._kept: deque[tuple[int, int, bytes]] = deque()
        self._kept_bytes = 0
        self._news = asyncio.Event()
        self._subscription: Subscription | None = None
        self._lost = True
        """Something may have gone by, as before the feed was open."""

    @classmethod
    async def open(cls, bus: Bus, subject: str) -> Self:
        """Hear all that is stored from now on.

        Raises:
            nats.errors.Error: the connection is closed.
        """
        feed = cls(bus)
        feed._subscription = await bus.nc.hear(subject, feed._take)
        return feed

    async def close(self) -> None:
        """Hear no more."""
        if self._subscription is not None and not self._bus.nc.is_closed:
            with suppress(nats.errors.Error):
                await self._subscription.unsubscribe()

    def wake(self) -> None:
        """Have the reader look up."""
        self._news.set()

    def lost(self) -> bool:
        """Whether events went by since the last call, so that the stream has to be read."""
        if self._reconnects != self._bus.reconnects:
            self._reconnects, self._lost = self._bus.reconnects, True
        lost, self._lost = self._lost, False
        return lost

    def lose(self) -> None:
        """The stream has to be read again."""
        self._lost = True

    def read(self) -> Iterator[tuple[int, int, bytes]]:
        """What is here: place in the stream, that of the job's event before it, body."""
        while self._kept:
            place = self._kept.popleft()
            self._kept_bytes -= len(place[2])
            yield place

    async def wait(self, seconds: float) -> bool:
        """Until there is something new, but not longer; whether there is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        news = self._news.is_set()
        self._news.clear()
        return news

    def _take(self, message: Heard) -> None:
        head = message.raw_headers or b""
        place, before = _PLACE(head), _BEFORE(head)
        if self._lost or place is None:
            self._lost = True  # the stream has this one too
        elif len(self._kept) >= MAX_EVENTS or self._kept_bytes + len(message.data) > MAX_BYTES:
            self._kept.clear()
            self._kept_bytes, self._lost = 0, True
        else:
            self._kept.append((int(place[1]), int(before[1]) if before else 0, message.data))
            self._kept_bytes += len(message.data)
        self._news.set()
