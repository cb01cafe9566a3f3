"""Jobs that a worker has pulled by itself and may not start: struck, paused, or beyond a cap (E5)."""

from __future__ import annotations

import time
from collections.abc import Callable

from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.postponing import postpone
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper

MOST_KEPT = 256
"""By one worker, with their leases renewed. More are put off: they would fill a consumer's window."""


class KeptBack:
    """Keeps them until they may start, or until a dispatcher is back."""

    def __init__(self, bus: Bus, leases: LeaseKeeper, *, retry: Callable[[TakenJob], None]) -> None:
        """`retry` looks at a job anew."""
        self._bus = bus
        self._leases = leases
        self._retry = retry
        self._jobs: dict[str, TakenJob] = {}

    async def keep(self, job: TakenJob) -> None:
        """Keep a job whose lease is held; or put it off."""
        known = self._jobs.pop(job.key, None)
        if known is not None and known.lease != job.lease:
            self._leases.release(known.lease)
        if len(self._jobs) < MOST_KEPT:
            self._jobs[job.key] = job
        else:
            await postpone(self._bus, self._leases, job, now=time.time())

    def look_again(self) -> None:
        """Something has changed: each is looked at anew."""
        jobs, self._jobs = list(self._jobs.values()), {}
        for job in jobs:
            self._retry(job)

    def expire(self, now: float) -> None:
        """Those whose deadline is past (unix seconds) are looked at anew: they are answered."""
        for job in [job for job in self._jobs.values() if job.deadline is not None and job.deadline <= now]:
            self._retry(self._jobs.pop(job.key))

    def let_go(self) -> list[str]:
        """A dispatcher is back: the leases of all, to be handed back."""
        leases = [job.lease for job in self._jobs.values()]
        self._jobs.clear()
        return leases
