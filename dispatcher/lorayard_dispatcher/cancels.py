"""Orders to end jobs: parked here, at another dispatcher, at a worker, or not yet seen by anyone (E4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import nats.errors

from lorayard_dispatcher.departures import Departures
from lorayard_dispatcher.fleet import Fleet
from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply
from lorayard_schemas.cancel_many import CancelMany
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.result_store import ResultStore, Stored
from lorayard_shared.jobs.cancelling import end_at_workers
from lorayard_shared.jobs.cancelling_many import ManyCancels, Outcomes

CANCEL_PARKED = "cancel-parked"

PARKED_SECONDS = 0.2
"""Only a dispatcher that has the job answers, so a job that nobody has costs this wait."""


class Cancels:
    """Carries orders out."""

    def __init__(
        self,
        bus: Bus,
        results: ResultStore,
        *,
        departures: Departures,
        fleet: Fleet,
        living: Callable[[], Iterable[str]],
    ) -> None:
        """`living` are all dispatchers, this one included."""
        self._bus = bus
        self._departures = departures
        self._fleet = fleet
        self._living = living
        self._many = ManyCancels(bus, results)

    async def one(self, wish: CancelJob) -> CancelOutcome:
        """End a job."""
        here = await self.parked(wish)
        if here is not None:
            return here
        # Side by side: one that does not answer must not hold up the others.
        elsewhere = asyncio.create_task(self._ask_dispatchers(wish), name=f"cancel-{wish.job}")
        try:
            if await self._ask_workers(wish):
                return CancelOutcome.CANCELLED
            return await elsewhere or await self._departures.cancel_unseen(wish)
        finally:
            elsewhere.cancel()

    async def parked(self, wish: CancelJob) -> CancelOutcome | None:
        """End a job that waits here; None: it does not."""
        stored = await self._departures.cancel(wish.tenant, wish.job)
        return None if stored is None else _outcome(stored)

    async def many(self, order: CancelMany) -> Outcomes:
        """End jobs.

        Raises:
            nats.errors.Error: the bus is away.
        """
        outcomes = await self.parked_many(order)
        left = order.without(frozenset(outcomes))
        if left is None:
            return outcomes
        # All workers: what was given out by others, or before a restart, is not known here.
        dispatchers = len(set(self._living()))
        return outcomes | await self._many.end(left, list(self._fleet.workers), dispatchers=dispatchers)

    async def parked_many(self, order: CancelMany) -> Outcomes:
        """End those that wait here; the others are dropped when they come."""
        stored = await self._departures.cancel_many(order.tenant, order.ids)
        for job in order.ids - stored.keys():
            self._departures.remember(order.tenant, job)
        return {job: _outcome(became) for job, became in stored.items()}

    async def _ask_dispatchers(self, wish: CancelJob) -> CancelOutcome | None:
        try:
            subject = self._bus.subjects.dispatcher(CANCEL_PARKED)
            reply = await self._bus.nc.request(subject, encode(wish), timeout=PARKED_SECONDS)
            return decode(CancelReply, reply.data).outcome
        except (nats.errors.Error, MalformedMessageError):
            return None

    async def _ask_workers(self, wish: CancelJob) -> bool:
        holder = self._fleet.holder(wish.tenant, wish.job)
        # A dispatcher that was restarted does not know what others handed over: ask them all.
        workers = [holder] if holder is not None else list(self._fleet.workers)
        return await end_at_workers(self._bus, workers, wish)


def _outcome(stored: Stored) -> CancelOutcome:
    return CancelOutcome.CANCELLED if stored is Stored.NOW else CancelOutcome.FINISHED
