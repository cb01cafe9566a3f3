"""What somebody has paused, drained or capped, as a worker follows it (E5).

The worker itself sees to it, so that it holds with any number of dispatchers and with none: of what is paused
it starts nothing, hands back at once what has not begun, and finishes the rest. It counts for dispatchers how
many jobs it has of what is capped.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable

import structlog

from lorayard_schemas.assignment import MAX_COUNTED
from lorayard_schemas.control import Controlled
from lorayard_schemas.give_back import GiveBack
from lorayard_shared.jobs.controls import ControlBook, things
from lorayard_shared.logs import Event
from lorayard_workers.service.held_jobs import HeldJob, HeldJobs, adapters_of
from lorayard_workers.service.returns import Returns

LONGEST_WAIT_SECONDS = 3600.0
"""A timer of a loop must not be set for years; the clock may be set meanwhile, too."""
CLOCK_SECONDS = 1.0
"""Between two looks at the wall clock when a pause is about to end."""


class Control:
    """Keeps one worker to what is paused and capped."""

    def __init__(
        self, worker: str, held: HeldJobs, returns: Returns, *, on_change: Callable[[], None]
    ) -> None:
        """`on_change` is told when the worker takes other jobs than before, or counts others."""
        self.book = ControlBook()
        self._worker = worker
        self._held = held
        self._returns = returns
        self._on_change = on_change
        self._again = asyncio.Event()
        self._log = structlog.get_logger().bind(worker=worker)

    @property
    def paused(self) -> bool:
        """Whether the worker itself takes no jobs."""
        return self.book.paused(Controlled.WORKER, self._worker) is not None

    def counted(self) -> dict[str, int]:
        """Jobs held of each thing that is paused or capped."""
        told = sorted(self.book.counted)[:MAX_COUNTED]
        if not told:
            return {}
        counts = Counter(thing for held in self._held for thing in set(_things(held)))
        return {thing: counts[thing] for thing in told}

    def holds(self, held: HeldJob) -> bool:
        """Whether a job may not start."""
        if not self.book.holds_any:  # asked of every job
            return False
        return self.book.pause(held.address, adapters_of(held.assigned) or (None,)) is not None

    def on_change(self, key: str, value: bytes | None) -> None:
        """A change in the bucket."""
        was = self.paused
        if self.book.on_change(key, value, time.time()):
            self._follow(was=was)

    async def run(self) -> None:
        """Let pauses end by themselves, until cancelled."""
        while True:
            self._again.clear()
            left = self.book.next_end - time.time()
            wait = LONGEST_WAIT_SECONDS if left == math.inf else min(max(left, 0.0), CLOCK_SECONDS)
            try:
                async with asyncio.timeout(wait):
                    await self._again.wait()
            except TimeoutError:
                was = self.paused
                if self.book.lapse(time.time()):
                    self._follow(was=was)

    def _follow(self, *, was: bool) -> None:
        if self.paused is not was:
            self._log.info(Event.WORKER_PAUSED if self.paused else Event.WORKER_RESUMED)
        cap = self.book.cap_of(f"{Controlled.WORKER}:{self._worker}")
        self._held.cap(cap.most if cap is not None else None)
        if self.paused:
            back = [held.key for held in self._held]
        else:
            back = [held.key for held in self._held if self.holds(held)]
        # Of what is beyond a new cap the youngest go, as far as they have not begun.
        back += [key for key in self._held.beyond if key not in set(back)]
        if back:
            self._returns.withdraw(GiveBack.model_construct(keys=tuple(back), aliases=()))
        self._again.set()
        self._on_change()


def _things(held: HeldJob) -> list[str]:
    return list(things(held.address, adapters_of(held.assigned) or (None,)))
