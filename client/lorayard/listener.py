"""Wait for results: heard on the bus when all is well, read from the stream whenever something may be lost.

One wildcard subscription per client hears every stored result of the tenant (`yard.done.{tenant}.*`). Core
messages can be lost (a restart of the server, a slow client), the stored result cannot. So the stream is
asked too: when a job that this client did not submit is first awaited, after every reconnect, and as a slow
poll.

A slot keeps a result's bytes undecoded. It lives as long as somebody holds a handle to it, so jobs that are
submitted and forgotten cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from weakref import WeakValueDictionary

import nats.errors
from nats.aio.subscription import Subscription

from lorayard.errors import ClientClosedError, YardNotReadyError
from lorayard.stored_results import StoredResults
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard

FIRST_POLL_SECONDS = 5.0
LAST_POLL_SECONDS = 60.0
RETRY_SECONDS = 0.5
"""After a question without an answer: a server that came back loads its streams for a moment."""

POLL_GROWTH = 2.0
"""The poll is for lost notices only; as long as it finds nothing, it becomes rarer."""


class Slot:
    """Where the result of one job arrives."""

    __slots__ = ("__weakref__", "body", "epoch", "job_id", "waiting")

    def __init__(self, job_id: str, epoch: int | None) -> None:
        self.job_id = job_id
        self.body: bytes | None = None
        self.epoch = epoch
        """The connection since whose start no notice can have been missed; None: the stream must be asked."""
        self.waiting: list[asyncio.Future[None]] = []

    def fill(self, body: bytes) -> None:
        """The result is here; the first one stands."""
        if self.body is None:
            self.body = body
            for future in self.waiting:
                if not future.done():
                    future.set_result(None)

    def give_up(self) -> None:
        """The client closes: whoever waits here waits in vain."""
        for future in self.waiting:
            if not future.done():
                future.set_exception(ClientClosedError())


class ResultListener:
    """Owns the subscription, the slots and the poll."""

    def __init__(self, bus: Bus, tenant: str, stored: StoredResults) -> None:
        self._bus = bus
        self._stored = stored
        self._subject = bus.subjects.done(tenant)
        self._prefix_length = len(self._subject) - 1
        self._slots: WeakValueDictionary[str, Slot] = WeakValueDictionary()
        self._listening: asyncio.Task[Subscription] | None = None
        self._poll_task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._awaited = 0
        self._idle = True
        """The poll sleeps without an end, for nobody waits."""
        self._epoch = 0
        self._closed = False
        bus.on_reconnect(self._on_reconnect)

    async def listen(self) -> None:
        """Make sure that every result stored from now on is heard.

        Raises:
            ClientClosedError: there is nothing to hear any more.
        """
        if self._closed:
            raise ClientClosedError
        if self._listening is None:
            self._listening = asyncio.create_task(self._subscribe(), name="lorayard-listen")
            self._poll_task = asyncio.create_task(self._poll(), name="lorayard-poll")
        await asyncio.shield(self._listening)

    async def close(self) -> None:
        """End the poll and every wait; the subscription ends with the connection."""
        self._closed = True
        for slot in list(self._slots.values()):
            slot.give_up()
        for task in (self._listening, self._poll_task):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})

    def slot(self, job_id: str, *, fresh: bool) -> Slot:
        """The slot of a job; `fresh` means that it is published only after this call."""
        slot = self._slots.get(job_id)
        if slot is None:
            slot = Slot(job_id, self._epoch if fresh else None)
            self._slots[job_id] = slot
        return slot

    async def wait(self, slot: Slot) -> bytes:
        """The stored result, however long it takes.

        Raises:
            YardNotReadyError: there is no yard to wait for.
        """
        if slot.body is None:
            await self.listen()
            if slot.epoch != self._epoch:
                await self._first_look(slot)
        while slot.body is None:
            await self._wait_for_notice(slot)
        return slot.body

    async def look(self, slot: Slot) -> bytes | None:
        """The stored result if there is one now.

        Raises:
            YardNotReadyError: there is no yard to ask.
            nats.errors.Error: no answer.
        """
        if slot.body is None and (body := await self._stored.get(slot.job_id)) is not None:
            slot.fill(body)
        return slot.body

    async def _wait_for_notice(self, slot: Slot) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        slot.waiting.append(future)
        self._awaited += 1
        if self._idle:
            self._wake.set()
        try:
            await future
        finally:
            self._awaited -= 1
            slot.waiting.remove(future)

    async def ask(self, slots: Sequence[Slot]) -> int | None:
        """Fill what the stream has of these, and count them; None when it cannot tell now."""
        epoch = self._epoch
        unknown = [slot for slot in slots if slot.body is None]
        try:
            bodies = await self._stored.get_many([slot.job_id for slot in unknown])
        except (nats.errors.Error, TimeoutError, YardNotReadyError):
            return None
        for slot in unknown:
            slot.epoch = epoch
            if slot.job_id in bodies:
                slot.fill(bodies[slot.job_id])
        return len(bodies)

    async def _first_look(self, slot: Slot) -> None:
        epoch = self._epoch
        with suppress(
            nats.errors.Error, TimeoutError
        ):  # the bus is away: its return, or the poll, asks again
            await self.look(slot)
            slot.epoch = epoch

    async def _subscribe(self) -> Subscription:
        return await self._bus.nc.hear(self._subject, self._receive)

    def _receive(self, message: Heard) -> None:
        slot = self._slots.get(message.subject[self._prefix_length :])
        if slot is not None:
            slot.fill(message.data)

    async def _on_reconnect(self) -> None:
        self._epoch += 1
        self._wake.set()

    async def _poll(self) -> None:
        pause = FIRST_POLL_SECONDS
        asked = self._epoch
        while True:
            idle = not self._awaited
            await self._pause(None if idle else pause)
            reconnected = asked != self._epoch
            if not reconnected and (idle or not self._awaited):
                continue  # somebody begins to wait, and the time runs from now; or nobody waits any more
            epoch = self._epoch
            found = await self.ask(list(self._slots.values()))
            if found is None:
                pause = RETRY_SECONDS
                continue
            asked = epoch
            pause = (
                FIRST_POLL_SECONDS if found or reconnected else min(POLL_GROWTH * pause, LAST_POLL_SECONDS)
            )

    async def _pause(self, seconds: float | None) -> None:
        self._idle = seconds is None
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()
