"""Another attempt at a job that failed in a way that may pass (docs/job-lifecycle.md).

The job is published again through a schedule, with its attempt raised and its history attached, and only then
acked; the message id makes a second publish of the same attempt a duplicate. Never a NAK with a delay: two of
those can fill the window of a consumer (nats.go 968).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from lorayard_schemas import headers
from lorayard_schemas.dead_letter import AttemptRecord
from lorayard_shared.bus.connection import Bus
from lorayard_shared.jobs.bound import bindings, bound_text
from lorayard_workers.service.held_jobs import HeldJob

_RECORDS = TypeAdapter(tuple[AttemptRecord, ...])

BASE_SECONDS = 1.0
CAP_SECONDS = 60.0
HISTORY_MESSAGE_CHARACTERS = 200
"""Headers travel with every delivery: the log has the rest."""


def backoff_seconds(attempt: int, draw: float) -> float:
    """The wait before the attempt after this one; `draw` in [0, 1).

    Decorrelated jitter without memory of the last wait: uniform between the base and three times the previous
    step's mean, capped (M. Brooker, "Exponential Backoff And Jitter", 2015).
    """
    top = min(CAP_SECONDS, BASE_SECONDS * 3.0 ** min(attempt, 10))  # far past the cap, before floats overflow
    return BASE_SECONDS + draw * (top - BASE_SECONDS)


async def schedule_retry(bus: Bus, held: HeldJob, failure: AttemptRecord) -> float:
    """Publish the next attempt; returns how many seconds from now.

    Raises:
        nats.errors.Error: the bus did not take it; the caller still holds the lease.
    """
    attempt = held.assigned.attempt
    # Jitter, not secrecy.
    delay = backoff_seconds(attempt, random.random())
    at = datetime.now(UTC) + timedelta(seconds=delay)
    bound = _bound(held)
    subject = bus.subjects.delayed_job(held.address.tenant, held.job)  # two tenants may use one job id
    await bus.js.publish(
        subject,
        held.assigned.body,
        headers={
            headers.MSG_ID: f"{subject}-attempt-{attempt + 1}",
            headers.SCHEDULE: f"@at {at.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}",
            headers.SCHEDULE_TARGET: bus.subjects.due_job(held.address),
            headers.ATTEMPT: str(attempt + 1),
            headers.HISTORY: _history(held.assigned.history, failure),
            **({headers.BOUND: bound} if bound else {}),
        },
    )
    return delay


def _bound(held: HeldJob) -> str:
    """What aliases led to: the next attempt keeps it, while they have any use for it."""
    assigned = held.assigned
    return bound_text(bindings(assigned.adapter, assigned.alias, assigned.composition))


def _history(before: str | None, failure: AttemptRecord) -> str:
    cut = failure.model_copy(update={"message": failure.message[:HISTORY_MESSAGE_CHARACTERS]})
    return _RECORDS.dump_json((*_read_history(before), cut)).decode()


def _read_history(header: str | None) -> tuple[AttemptRecord, ...]:
    try:
        return _RECORDS.validate_json(header or "[]")
    except ValidationError:
        return ()  # somebody else's header: ours starts anew
