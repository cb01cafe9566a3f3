"""Asks whether the yard is well, and how soon it was again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from benchmarks.chaos.journal import Entry
from benchmarks.chaos.orders import Order, probe

from lorayard import Client, JobHandle, LorayardError

EVERY_SECONDS: Final = 0.05
LIMIT_SECONDS: Final = 30.0
"""Longer is no recovery."""


@dataclass(slots=True)
class Prober:
    """A client that nothing is done to."""

    client: Client
    orders: list[Order] = field(default_factory=list[Order])
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    _asking: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def seconds(self) -> float:
        """From now until a job that is asked from now on is answered."""
        started, answered = time.monotonic(), asyncio.Event()
        while not answered.is_set() and time.monotonic() - started < LIMIT_SECONDS:
            task = asyncio.create_task(self._ask(answered), name="probe")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await answered.wait()
            except TimeoutError:
                pass
        return time.monotonic() - started

    async def finish(self) -> None:
        """Until each is answered."""
        await asyncio.gather(*self._asking)

    async def _ask(self, answered: asyncio.Event) -> None:
        order = probe(len(self.orders))
        self.orders.append(order)
        entry = self.entries[order.key] = Entry(submitted_at=time.time())
        handle = await self._submit(order)
        entry.accepted_at = time.time()
        while True:
            try:
                await handle.outcome()
            except LorayardError:
                await asyncio.sleep(EVERY_SECONDS)
            else:
                answered.set()
                return

    async def _submit(self, order: Order) -> JobHandle:
        while True:
            try:
                (handle,) = await self.client.submit_many([order.request])
            except LorayardError:
                await asyncio.sleep(EVERY_SECONDS)
                continue
            if isinstance(handle, JobHandle):
                return handle
            await asyncio.sleep(EVERY_SECONDS)
