"""End jobs: by a dispatcher, by a worker that pulls by itself, or alone where neither answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lorayard.asking import ask
from lorayard.errors import NoDispatcherError
from lorayard.yard_view import list_workers
from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.bus.result_store import ResultStore, Stored
from lorayard_shared.jobs.cancelling import cancel_unheld, end_at_workers
from lorayard_shared.jobs.unschedule import unschedule

if TYPE_CHECKING:
    from lorayard.link import Link

ANSWER_SECONDS = 2.0
"""A dispatcher answers within one; after a failure another one listens in about as long."""


async def cancel_job(link: Link, job_id: str, *, seen: bool = False) -> CancelOutcome:
    """End a job of the client's tenant, also while nobody takes orders; `seen`: it is in a stream.

    Raises:
        YardRefusedError: a dispatcher took the order, and answered with an error.
        YardNotReadyError: there is no yard.
        BusUnavailableError: the bus is away.
    """
    wish = CancelJob(tenant=link.tenant, job=job_id, seen=seen)
    try:
        return (await ask(link, "cancel", wish, CancelReply, seconds=ANSWER_SECONDS)).outcome
    except NoDispatcherError:
        return await _cancel_alone(link, wish)


async def _cancel_alone(link: Link, wish: CancelJob) -> CancelOutcome:
    """As a dispatcher does: whoever holds it is asked, and its one result is taken."""
    workers = [advert.worker for advert in await list_workers(link)]
    if await end_at_workers(link.bus, workers, wish):
        return CancelOutcome.CANCELLED
    return await cancel_unheld(link.bus, wish, lambda traced: _store(link, wish, traced))


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
