"""End jobs: by a dispatcher, by a worker that pulls by itself, or alone where neither answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import nats.errors

from lorayard.answering import Answering
from lorayard.asking import ask
from lorayard.errors import LorayardError, NoDispatcherError
from lorayard.stored_results import StoredResults
from lorayard.yard_view import list_workers
from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.bus.result_store import ResultStore, Stored
from lorayard_shared.jobs.cancelling import cancel_unheld, end_at_workers, find
from lorayard_shared.jobs.unschedule import unschedule
from lorayard_shared.process import end_tasks

if TYPE_CHECKING:
    from lorayard.link import Link

ANSWER_SECONDS = 2.0
"""A dispatcher answers within one; after a failure another one listens in about as long."""

PATIENCE_SECONDS = 0.4
"""A dispatcher that hangs takes orders all the same. Who has not answered by now may go on; whoever cancels
sees to it himself beside it, and is done within a second."""

ALONE_SECONDS = 15.0
"""To take the result of a job that nobody else ends: its store waits out any trouble with the bus."""

PARKED_SECONDS = 0.2
"""Only a dispatcher that has the job answers."""


async def cancel_job(link: Link, job_id: str, *, seen: bool = False) -> CancelOutcome:
    """End a job of the client's tenant, also while nobody takes orders; `seen`: it is in a stream.

    Raises:
        YardRefusedError: a dispatcher took the order, and answered with an error.
        YardNotReadyError: there is no yard.
        BusUnavailableError: the bus is away.
    """
    wish, losses = CancelJob(tenant=link.tenant, job=job_id, seen=seen), link.bus.disconnects
    order = asyncio.create_task(_order(link, wish), name=f"cancel-{job_id}")
    alone: asyncio.Task[CancelOutcome] | None = None
    try:
        done, _ = await asyncio.wait([order], timeout=PATIENCE_SECONDS)
        if done and not isinstance(order.exception(), NoDispatcherError):
            # An order that broke with its connection came twice, and the first may have ended it.
            broke = link.bus.disconnects != losses
            return await told_apart(link, job_id, order.result()) if broke else order.result()
        alone = asyncio.create_task(_cancel_alone(link, wish), name=f"cancel-alone-{job_id}")
        return await alone if done else await told_apart(link, job_id, await _first(order, alone))
    finally:
        await end_tasks([order] if alone is None else [order, alone])


async def _first(order: asyncio.Task[CancelOutcome], alone: asyncio.Task[CancelOutcome]) -> CancelOutcome:
    """The first answer of the two; the error of one counts only when the other has failed, too."""
    done, _ = await asyncio.wait([order, alone], return_when=asyncio.FIRST_COMPLETED)
    if alone in done and alone.exception() is None:
        return alone.result()
    if order in done and order.exception() is None:
        return order.result()
    return await (order if alone in done else alone)


async def _order(link: Link, wish: CancelJob) -> CancelOutcome:
    return (await ask(link, "cancel", wish, CancelReply, seconds=ANSWER_SECONDS)).outcome


async def told_apart(link: Link, job_id: str, outcome: CancelOutcome) -> CancelOutcome:
    """What an outcome means where two see to it: the result that was there first may be of the other one."""
    if outcome is not CancelOutcome.FINISHED:
        return outcome
    states = await stored_states(link, [job_id])
    if job_id not in states:
        return CancelOutcome.UNKNOWN
    return CancelOutcome.CANCELLED if states[job_id] is ResultState.CANCELLED else outcome


async def stored_states(link: Link, job_ids: list[str]) -> dict[str, ResultState]:
    """How jobs have ended, as far as anybody can say."""
    try:
        stored = await StoredResults(link.bus, link.tenant).get_many(job_ids)
        return {job: decode(JobResult, body).state for job, body in stored.items()}
    except (nats.errors.Error, LorayardError, TimeoutError, MalformedMessageError):
        return {}


async def _cancel_alone(link: Link, wish: CancelJob) -> CancelOutcome:
    """As a dispatcher does: whoever holds it is asked, and its one result is taken."""
    async with Answering(link), asyncio.timeout(ALONE_SECONDS):
        return await _see_to_it(link, wish)


async def _see_to_it(link: Link, wish: CancelJob) -> CancelOutcome:
    parked = asyncio.create_task(_ask_dispatchers(link, wish), name=f"cancel-parked-{wish.job}")
    known = asyncio.create_task(find(link.bus, wish), name=f"look-for-{wish.job}")
    try:
        workers = [advert.worker for advert in await list_workers(link)]
        if await end_at_workers(link.bus, workers, wish):
            return CancelOutcome.CANCELLED
        if (outcome := await parked) is not None:
            return outcome
        return await cancel_unheld(
            link.bus, wish, lambda traced: _store(link, wish, traced), known=await known
        )
    finally:
        await end_tasks([parked, known])


async def _ask_dispatchers(link: Link, wish: CancelJob) -> CancelOutcome | None:
    """Whichever has it parked: the one that took the order may be another one."""
    try:
        subject = link.bus.subjects.dispatcher("cancel-parked")
        reply = await link.bus.nc.request(subject, encode(wish), timeout=PARKED_SECONDS)
        return decode(CancelReply, reply.data).outcome
    except (nats.errors.Error, MalformedMessageError):
        return None


async def _store(link: Link, wish: CancelJob, traced: Mapping[str, str]) -> Stored:
    stored = await ResultStore(link.bus, link.payloads).store(
        JobResult(
            job=wish.job,
            tenant=wish.tenant,
            state=ResultState.CANCELLED,
            attempt=1,
            correlation_id=traced.get("correlation_id"),
            trace_id=traced.get("trace_id"),
            finished_at=time.time(),
        )
    )
    await unschedule(link.bus, wish.tenant, wish.job)
    return stored
