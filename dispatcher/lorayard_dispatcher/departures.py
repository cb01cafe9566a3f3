"""Jobs that leave without having been handed over: cancelled, expired, or given back to their stream."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress

import nats.errors

from lorayard_dispatcher.pool import Pool
from lorayard_dispatcher.unresolved import Unresolved
from lorayard_schemas.assignment import CancelJob, CancelOutcome
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import NAK, read_ack_subject
from lorayard_shared.bus.result_store import Stored
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.cancelling import cancel_unheld
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper

REMEMBERED_CANCELS = 100_000


class Departures:
    """Takes jobs out of the pool and from among the unresolved."""

    def __init__(
        self,
        bus: Bus,
        pool: Pool,
        unresolved: Unresolved,
        *,
        answers: Answers,
        leases: LeaseKeeper,
        spawn: Callable[..., object],
    ) -> None:
        self._bus = bus
        self._pool = pool
        self._unresolved = unresolved
        self._answers = answers
        self._leases = leases
        self._spawn = spawn
        self._cancelled: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def cancel(self, tenant: str, job: str) -> Stored | None:
        """Cancel a job that waits here; None when it does not."""
        taken = self._take_out(tenant, job)
        return await self._answers.cancel(taken) if taken is not None else None

    def take(self, key: str) -> TakenJob | None:
        """Take out a job that waits here, for whoever ends it; None when it does not."""
        if (parked := self._pool.take(key)) is not None:
            return parked.taken
        return next(iter(self._unresolved.take_keys([key])), None)

    async def cancel_many(self, tenant: str, jobs: frozenset[str]) -> dict[str, Stored]:
        """Cancel those that wait here; what became of each, by its id."""
        taken = [found for job in jobs if (found := self._take_parked(tenant, job)) is not None]
        taken += self._unresolved.take_jobs(tenant, jobs)
        return await self._answers.cancel_many(taken)

    async def cancel_unseen(self, wish: CancelJob) -> CancelOutcome:
        """Cancel a job that neither this dispatcher nor a worker holds, and drop it when it comes."""
        self.remember(wish.tenant, wish.job)
        return await cancel_unheld(
            self._bus, wish, lambda traced: self._answers.cancel_unseen(wish.tenant, wish.job, traced)
        )

    def remember(self, tenant: str, job: str) -> None:
        """Drop a job when it comes: somebody has cancelled it."""
        self._cancelled[tenant, job] = None
        while len(self._cancelled) > REMEMBERED_CANCELS:
            self._cancelled.popitem(last=False)

    def is_cancelled(self, taken: TakenJob) -> bool:
        """Whether somebody has ended it meanwhile."""
        return (taken.address.tenant, taken.job) in self._cancelled

    def expire(self) -> None:
        """Answer those whose deadline has passed."""
        now = time.time()
        for parked in self._pool.expired(now):
            self._pool.take(parked.key)
            self._spawn(self._answers.expire(parked.taken), f"expire-{parked.key}")
        for job in self._unresolved.take_expired(now):
            self._spawn(self._answers.expire(job), f"expire-{job.key}")

    async def hand_back(self, consumers: frozenset[str]) -> None:
        """Another dispatcher shall have what these consumers give out: what is parked goes back at once."""
        await self.nak(self._let_go(consumers))

    def forget(self, consumers: frozenset[str]) -> None:
        """Another dispatcher has it: say nothing more on these leases, which act on newer deliveries."""
        self._let_go(consumers)

    async def hand_back_all(self) -> None:
        """Hand every parked job back to the stream at once; its next holder need not wait for the lease."""
        leases = [job.lease for job in (*(parked.taken for parked in self._pool), *self._unresolved)]
        for lease in leases:
            self._leases.release(lease)
        await self.nak(leases)

    async def nak(self, leases: Iterable[str]) -> None:
        """Have the server give these out again."""
        for lease in leases:
            with suppress(nats.errors.Error):  # then the lease runs out by itself
                await self._bus.nc.publish(lease, NAK)

    def _take_out(self, tenant: str, job: str) -> TakenJob | None:
        return self._take_parked(tenant, job) or self._unresolved.take(tenant, job)

    def _take_parked(self, tenant: str, job: str) -> TakenJob | None:
        parked = self._pool.find(tenant, job)
        if parked is None:
            return None
        self._pool.take(parked.key)
        return parked.taken

    def _let_go(self, consumers: frozenset[str]) -> list[str]:
        """Park nothing of theirs, and renew it no more; returns the leases."""
        parked = [job for job in self._pool if read_ack_subject(job.taken.lease).consumer in consumers]
        for job in parked:
            self._pool.take(job.key)
        theirs = [job.key for job in self._unresolved if read_ack_subject(job.lease).consumer in consumers]
        unresolved = self._unresolved.take_keys(theirs)
        leases = [*(job.taken.lease for job in parked), *(job.lease for job in unresolved)]
        for lease in leases:
            self._leases.release(lease)
        return leases
