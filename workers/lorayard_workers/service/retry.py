"""Another attempt at a job that failed in a way that may pass, or the same one later (docs/job-lifecycle.md).

The job is published again through a schedule, with its attempt raised and its history attached, and only then
acked; the message id makes a second publish of the same attempt a duplicate. Never a NAK with a delay: two of
those can fill the window of a consumer (nats.go 968).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import nats.errors

from lorayard_schemas import headers
from lorayard_schemas.attempt import AttemptRecord, history_text
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.server_time import server_seconds
from lorayard_shared.jobs.bound import bindings, bound_text
from lorayard_workers.service.held_jobs import HeldJob

SNOOZE_BASE_SECONDS, SNOOZE_CAP_SECONDS = 1.0, 15.0
"""Between two looks for room: adapters are fetched in seconds, and whoever waits for one waits no longer."""

CLOCK_SECONDS = 1.0
"""For the server's clock; a job must not wait for it longer than for its next attempt."""

_MOST_SNOOZES = 10**6
"""Beyond that somebody else has written the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snoozed:
    """How often one attempt was put off, and since when."""

    times: int
    since: float
    """Unix seconds."""

    @property
    def header(self) -> str:
        """As it travels."""
        return f"{self.times} {self.since:.3f}"


def read_snoozed(header: str | None, now: float) -> Snoozed:
    """What a header says; where it is absent, or somebody else's, it was never put off until now."""
    times, _, since = (header or "").partition(" ")
    try:
        told = Snoozed(times=int(times), since=float(since))
    except ValueError:
        return Snoozed(times=0, since=now)
    sane = 0 <= told.times <= _MOST_SNOOZES and 0.0 <= told.since <= now
    return told if sane else Snoozed(times=0, since=now)


async def schedule_attempt(
    bus: Bus, held: HeldJob, history: Sequence[AttemptRecord], wait_seconds: float
) -> None:
    """Publish the next attempt, to run so many seconds from now; `history` has the failures so far.

    Raises:
        nats.errors.Error: the bus did not take it; the caller still holds the lease.
    """
    attempt = held.assigned.attempt + 1
    told = {headers.ATTEMPT: str(attempt), headers.HISTORY: history_text(history)}
    await _schedule(bus, held, f"attempt-{attempt}", wait_seconds, told)


async def schedule_snooze(bus: Bus, held: HeldJob, before: Snoozed, wait_seconds: float) -> None:
    """Publish the same attempt again, to run so many seconds from now.

    Raises:
        nats.errors.Error: the bus did not take it; the caller still holds the lease.
    """
    assigned = held.assigned
    snoozed = Snoozed(times=before.times + 1, since=before.since)
    told = {headers.ATTEMPT: str(assigned.attempt), headers.SNOOZED: snoozed.header}
    if assigned.history is not None:
        told[headers.HISTORY] = assigned.history
    name = f"attempt-{assigned.attempt}-snooze-{snoozed.times}-{snoozed.since:.3f}"
    await _schedule(bus, held, name, wait_seconds, told)


async def _schedule(bus: Bus, held: HeldJob, name: str, wait_seconds: float, told: Mapping[str, str]) -> None:
    at = datetime.fromtimestamp(await _now(bus) + wait_seconds, UTC)
    bound = _bound(held)
    subject = bus.subjects.delayed_job(held.address.tenant, held.job)  # two tenants may use one job id
    await bus.js.publish(
        subject,
        held.assigned.body,
        headers={
            headers.MSG_ID: bus.message_id(f"{subject}-{name}"),
            headers.SCHEDULE: f"@at {at.strftime('%Y-%m-%dT%H:%M:%S.%fZ')}",
            headers.SCHEDULE_TARGET: bus.subjects.due_job(held.address),
            **told,
            **({headers.BOUND: bound} if bound else {}),
        },
    )


async def _now(bus: Bus) -> float:
    """Unix seconds by the server's clock, which makes the schedule due: ours may be wrong, or jump."""
    asked = f"STREAM.INFO.{bus.subjects.stream('delayed')}"
    try:
        return server_seconds(str((await bus.api(asked, timeout_seconds=CLOCK_SECONDS))["ts"]))
    except (ApiError, nats.errors.Error, KeyError, ValueError):
        return time.time()


def _bound(held: HeldJob) -> str:
    """What aliases led to: the next attempt keeps it, while they have any use for it."""
    assigned = held.assigned
    return bound_text(bindings(assigned.adapter, assigned.alias, assigned.composition))
