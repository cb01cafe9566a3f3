"""Cancel jobs with few orders: hundreds in each, and a few of them under way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lorayard.answering import Answering
from lorayard.asking import ask
from lorayard.cancel import ALONE_SECONDS, cancel_job, stored_states
from lorayard.errors import LorayardError, NoDispatcherError
from lorayard.yard_view import list_workers
from lorayard_schemas.assignment import CancelOutcome
from lorayard_schemas.cancel_many import CANCEL_MANY, CancelMany, CancelManyReply, MeantJob
from lorayard_schemas.result import ResultState
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.jobs.cancelling_many import ManyCancels, Outcomes

if TYPE_CHECKING:
    from lorayard.link import Link

FEW = 16
"""So many are ended one by one: each within a second, whatever hangs."""

BATCH = 250
"""Jobs of one order: some tenths of a second of a dispatcher, beside its other work."""

AT_ONCE = 2
"""Orders under way: while one waits for the server, another is worked on."""

ANSWER_SECONDS = 5.0
"""Ten times as long as an order takes on a busy machine."""

Told = Mapping[str, CancelOutcome | LorayardError]


async def end_jobs(link: Link, jobs: Sequence[MeantJob]) -> Told:
    """What became of each, in their order; one that may not have ended has an error."""
    told = dict[str, CancelOutcome | LorayardError]()
    if len(jobs) <= FEW:
        outcomes = await asyncio.gather(*(_end_one(link, one) for one in jobs))
        return dict(zip((one.job for one in jobs), outcomes, strict=True))
    orders = _Orders(link)
    # The youngest first: else a dispatcher takes them in for those that have gone, to no purpose.
    left = iter([jobs[start : start + BATCH] for start in reversed(range(0, len(jobs), BATCH))])
    try:
        await asyncio.gather(*(_work(orders, left, told) for _ in range(AT_ONCE)))
    finally:
        await orders.close()
    return {one.job: told[one.job] for one in jobs}


async def _end_one(link: Link, one: MeantJob) -> CancelOutcome | LorayardError:
    try:
        return await cancel_job(link, one.job, seen=one.seen is not None)
    except LorayardError as error:
        return error


async def _work(
    orders: _Orders, left: Iterator[Sequence[MeantJob]], told: dict[str, CancelOutcome | LorayardError]
) -> None:
    for batch in left:
        try:
            outcomes = await orders.end(batch)
            told.update({one.job: outcomes.get(one.job, CancelOutcome.UNKNOWN) for one in batch})
        except LorayardError as error:
            told.update({one.job: error for one in batch})


class _Orders:
    """Orders to a dispatcher, until one of them is not answered; then the work of one."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._results = ResultStore(link.bus, link.payloads)
        self._alone = ManyCancels(link.bus, self._results)
        self._silent = False
        """Whether nobody takes orders, or whoever does hangs."""

    async def close(self) -> None:
        await self._alone.close()
        await self._results.close()

    async def end(self, jobs: Sequence[MeantJob]) -> Outcomes:
        """What became of these.

        Raises:
            LorayardError: it may not have been done; see `cancel_job`.
        """
        order = CancelMany(tenant=self._link.tenant, jobs=tuple(jobs))
        if not self._silent:
            losses = self._link.bus.disconnects
            try:
                reply = await ask(self._link, CANCEL_MANY, order, CancelManyReply, seconds=ANSWER_SECONDS)
            except NoDispatcherError:
                self._silent = True
            else:
                # An order that broke with its connection came twice, and the first may have ended them.
                broke = self._link.bus.disconnects != losses
                return await self._told_apart(reply.outcomes) if broke else reply.outcomes
        return await self._end_alone(order)

    async def _end_alone(self, order: CancelMany) -> Outcomes:
        workers = [advert.worker for advert in await list_workers(self._link)]
        async with Answering(self._link), asyncio.timeout(ALONE_SECONDS):
            outcomes = await self._alone.end(order, workers, dispatchers=None)
        return await self._told_apart(outcomes)

    async def _told_apart(self, outcomes: Outcomes) -> Outcomes:
        """Whoever took the order and did not answer in time may have carried it out."""
        finished = [job for job, outcome in outcomes.items() if outcome is CancelOutcome.FINISHED]
        states = await stored_states(self._link, finished)
        for job in finished:
            if job not in states:
                outcomes[job] = CancelOutcome.UNKNOWN
            elif states[job] is ResultState.CANCELLED:
                outcomes[job] = CancelOutcome.CANCELLED
        return outcomes
