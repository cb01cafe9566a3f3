"""The order to end a job, given to whichever dispatcher answers first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorayard.asking import ask
from lorayard_schemas.assignment import CancelJob, CancelOutcome, CancelReply

if TYPE_CHECKING:
    from lorayard.link import Link


async def cancel_job(link: Link, job_id: str) -> CancelOutcome:
    """End a job of the client's tenant.

    Raises:
        NoDispatcherError: nobody took the order.
        YardRefusedError: a dispatcher did, and answered with an error.
        BusUnavailableError: the bus is away.
    """
    reply = await ask(link, "cancel", CancelJob(tenant=link.tenant, job=job_id), CancelReply)
    return reply.outcome
