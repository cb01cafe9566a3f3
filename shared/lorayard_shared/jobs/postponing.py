"""Put a job off: it goes back through a schedule, as the same attempt, and comes again later.

For what is held back in such numbers that it would take the place of others in a consumer's window: a message
that is acked takes none. Never a NAK with a delay, which fills the window all the same (nats.go 968).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import nats.errors
import structlog

from lorayard_schemas import headers
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import ACK
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event

LEAST_SECONDS = 30.0
MOST_SECONDS = 90.0
"""Spread out: they must not all come at once. A job that is put off starts so much later than those that are
kept, of which there is a window full."""


async def postpone(bus: Bus, leases: LeaseKeeper, job: TakenJob, *, now: float) -> None:
    """Publish the job for a later time, then ack this delivery; where the bus does not take it, it comes
    again when its lease runs out. `now` is unix seconds."""
    try:
        await bus.js.publish(
            bus.subjects.delayed_job(job.address.tenant, job.job), job.body, headers=_headers(bus, job, now)
        )
        await bus.nc.publish(job.lease, ACK)
    except nats.errors.Error as error:
        structlog.get_logger().warning(
            Event.BUS_FAILED, job=job.job, error=str(error) or type(error).__name__
        )
    finally:
        leases.release(job.lease)


def _headers(bus: Bus, job: TakenJob, now: float) -> dict[str, str]:
    seconds = random.uniform(LEAST_SECONDS, MOST_SECONDS)  # no secret
    if job.deadline is not None:
        seconds = max(0.0, min(seconds, job.deadline - now))  # it is answered in time, as expired
    at = datetime.fromtimestamp(now, UTC) + timedelta(seconds=seconds)
    carried = {headers.HISTORY: job.history, headers.BOUND: job.bound, headers.SNOOZED: job.snoozed}
    return {
        headers.MSG_ID: bus.message_id(f"{job.key}-{job.deliveries}-later"),
        headers.SCHEDULE: f"@at {at.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}",
        headers.SCHEDULE_TARGET: bus.subjects.due_job(job.address),
        headers.ATTEMPT: str(job.attempt),
        **{name: value for name, value in carried.items() if value is not None},
    }
