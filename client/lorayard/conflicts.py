"""Two requests under one idempotency key: the first stands, and the second hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import nats.errors
import nats.js.errors

from lorayard.errors import IdempotencyConflictError, YardNotReadyError
from lorayard.link import Link
from lorayard.listener import Slot
from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Job
from lorayard_schemas.result import JobResult
from lorayard_shared.value import value


@value
class Claim:
    """A request whose job the yard had before."""

    key: str
    digest: str
    slot: Slot
    place: str | int | None
    """Where the job lies: its sequence among the jobs, or its subject among the scheduled ones; None: it is
    answered already."""


async def find_conflicts(link: Link, claims: Sequence[Claim]) -> list[IdempotencyConflictError | None]:
    """For each the error, if its key stands for another request; None also where nobody can tell any more."""
    digests = await asyncio.gather(*(_first_digest(link, claim) for claim in claims))
    return [
        None if first is None or first == claim.digest else _conflict(claim)
        for claim, first in zip(claims, digests, strict=True)
    ]


def _conflict(claim: Claim) -> IdempotencyConflictError:
    return IdempotencyConflictError(key=claim.key, job_id=claim.slot.job_id)


async def _first_digest(link: Link, claim: Claim) -> str | None:
    """Of the request that stands: from its job, or from its result when the job has gone."""
    try:
        if claim.place is not None and (found := await _stored_digest(link, claim, claim.place)) is not None:
            return found
        body = await link.listener.look(claim.slot)
        return None if body is None else decode(JobResult, body).request_digest
    except (nats.errors.Error, YardNotReadyError, MalformedMessageError):
        return None


async def _stored_digest(link: Link, claim: Claim, place: str | int) -> str | None:
    subjects, get = link.bus.subjects, link.bus.js.get_msg
    try:
        if isinstance(place, str):
            found = await get(subjects.stream("delayed"), subject=place, direct=True)
        else:
            found = await get(subjects.stream("jobs"), place, direct=True)
    except nats.js.errors.NotFoundError:
        return None
    job = decode(Job, found.data or b"")
    return job.request_digest if job.id == claim.slot.job_id else None
