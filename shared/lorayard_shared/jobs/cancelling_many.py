"""End many jobs of a tenant with few words: a dispatcher does so, and a client alone (E4).

Step by step as with one: whoever holds some ends them; of all others the one result is taken, so that no
later run can answer. Then their messages are taken out of the streams: nobody has to look at each again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import nats.errors

from lorayard_schemas.assignment import CancelOutcome
from lorayard_schemas.cancel_many import CANCEL_MANY, CancelMany, CancelManyReply, MeantJob, Place
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.result import JobResult, ResultState
from lorayard_schemas.trace_context import UNTRACED
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.publishes import Outgoing, Publishes
from lorayard_shared.bus.result_store import PackedResult, ResultStore, Stored
from lorayard_shared.jobs.cancelling import WORKER_SECONDS, Known, find_among

CANCEL_MANY_PARKED = "cancel-parked-many"

OTHERS_SECONDS = 0.4
"""Each dispatcher answers such an order, also one that has none of the jobs; one that hangs is not waited
for: what it makes of its jobs is void."""

Outcomes = dict[str, CancelOutcome]


class ManyCancels:
    """Ends jobs that are not where it is asked to; safe to use from many tasks of one loop."""

    def __init__(self, bus: Bus, results: ResultStore) -> None:
        self._bus = bus
        self._results = results
        self._publishes = Publishes(bus)

    async def close(self) -> None:
        """Nothing is asked any more."""
        await self._publishes.close()

    async def end(self, order: CancelMany, workers: Iterable[str], *, dispatchers: int | None) -> Outcomes:
        """What became of each; `dispatchers` is how many there are, the asking one included, if it is known.

        Raises:
            nats.errors.Error: the bus is away.
        """
        known = asyncio.ensure_future(self._known(order))
        try:
            outcomes = await self._end_held(order, workers, dispatchers)
            left = order.without(frozenset(outcomes))
            return outcomes if left is None else outcomes | await self._end_unheld(left, await known)
        finally:
            known.cancel()

    async def _end_held(self, order: CancelMany, workers: Iterable[str], dispatchers: int | None) -> Outcomes:
        """Those that some worker or other dispatcher holds."""
        asked = [self._ask_worker(worker, order) for worker in workers]
        answers = await asyncio.gather(self._ask_dispatchers(order, dispatchers), *asked)
        outcomes: Outcomes = {}
        for answer in answers:
            for job, outcome in answer.items():
                # One that was published twice may be in two places: who ends it has the say.
                if job not in outcomes or outcome is CancelOutcome.CANCELLED:
                    outcomes[job] = outcome
        return {job: outcome for job, outcome in outcomes.items() if outcome is not CancelOutcome.NOT_HERE}

    async def _end_unheld(self, order: CancelMany, known: Known) -> Outcomes:
        """Those that nobody holds: `known` are there, or may be."""
        tenant, now = order.tenant, time.time()
        packed = [_packed(tenant, one.job, now, known.get(one.job, UNTRACED)) for one in order.jobs]
        outcomes: Outcomes = {}
        for one, stored in zip(order.jobs, await self._store(packed), strict=True):
            if stored is Stored.BEFORE:
                outcomes[one.job] = CancelOutcome.FINISHED
            else:
                found = one.job in known
                outcomes[one.job] = CancelOutcome.CANCELLED if found else CancelOutcome.UNKNOWN
        await self._take_out(order.tenant, order.jobs)
        return outcomes

    async def _take_out(self, tenant: str, jobs: Iterable[MeantJob]) -> None:
        """Of answered jobs: what stays is dropped by whoever gets it while the result is kept."""
        await self._publishes.send([self._removal(tenant, one) for one in jobs])

    async def _store(self, packed: list[PackedResult]) -> list[Stored]:
        stored = await self._results.try_together(packed)
        return [
            await self._results.store(decode(JobResult, one.body)) if became is None else became
            for one, became in zip(packed, stored, strict=True)
        ]

    async def _known(self, order: CancelMany) -> Known:
        seen = {one.job: one.seen.traced for one in order.jobs if one.seen is not None}
        return seen | dict(await find_among(self._bus, order.tenant, order.ids - seen.keys()))

    def _removal(self, tenant: str, one: MeantJob) -> Outgoing:
        """The request that takes a job's message out. A schedule goes by its subject."""
        subjects, body = self._bus.subjects, dict[str, Any]()
        if one.seen is None or one.seen.place is Place.DELAYED:
            verb, kind, body = "PURGE", "delayed", {"filter": subjects.delayed_job(tenant, one.job)}
        else:
            kind = "jobs" if one.seen.place is Place.JOBS else "delayed"
            verb, body = "MSG.DELETE", {"seq": one.seen.sequence, "no_erase": True}
        subject = f"$JS.API.STREAM.{verb}.{subjects.stream(kind)}"
        return Outgoing(subject=subject, body=json.dumps(body).encode(), head=b"")

    async def _ask_worker(self, worker: str, order: CancelMany) -> Outcomes:
        subject = self._bus.subjects.control(worker, CANCEL_MANY)
        try:
            reply = await self._bus.nc.request(subject, encode(order), timeout=WORKER_SECONDS)
            return decode(CancelManyReply, reply.data).outcomes
        except (nats.errors.Error, MalformedMessageError):
            return {}

    async def _ask_dispatchers(self, order: CancelMany, count: int | None) -> Outcomes:
        """Every dispatcher hears of it; that many answers are waited for."""
        outcomes: Outcomes = {}
        enough, answers = asyncio.Event(), 0

        def take(answer: Heard) -> None:
            nonlocal answers
            answers += 1
            with suppress(MalformedMessageError):  # as the word that nobody listens
                outcomes.update(decode(CancelManyReply, answer.data).outcomes)
            if not answer.data or answers == count:
                enough.set()

        inbox = self._bus.nc.new_inbox()
        hearing = await self._bus.nc.hear(inbox, take)
        try:
            subject = self._bus.subjects.dispatcher(CANCEL_MANY_PARKED)
            await self._bus.nc.publish(subject, encode(order), reply=inbox)
            with suppress(TimeoutError):
                if count == 1:
                    return outcomes  # it is us: what comes to us from now on is dropped
                async with asyncio.timeout(OTHERS_SECONDS):
                    await enough.wait()
        finally:
            with suppress(nats.errors.Error):
                await hearing.unsubscribe()
        return outcomes


def _packed(tenant: str, job: str, now: float, traced: Mapping[str, str]) -> PackedResult:
    result = JobResult(
        job=job,
        tenant=tenant,
        state=ResultState.CANCELLED,
        correlation_id=traced.get("correlation_id"),
        trace_id=traced.get("trace_id"),
        finished_at=now,
    )
    return PackedResult(tenant=tenant, job=job, body=encode(result))
