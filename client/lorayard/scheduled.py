"""Jobs that wait for their time: what was asked for later, and what is tried again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import nats.errors

from lorayard.errors import BusUnavailableError
from lorayard_schemas import headers
from lorayard_schemas.names import subject_token
from lorayard_schemas.subjects import BadSubjectError, JobAddress
from lorayard_shared.bus.scanning import scan

if TYPE_CHECKING:
    from lorayard.link import Link

SCAN_SECONDS = 30.0
"""Some 50,000 jobs are read in a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledJob:
    """One job that the server holds until its time."""

    job_id: str
    at: float
    """Unix seconds, by the server's clock."""
    address: JobAddress
    """Lane, tenant and adapter; adapter None is left to the yard."""
    attempt: int
    """1: it starts then for the first time; more: it is tried again."""


async def list_scheduled(link: Link, *, all_tenants: bool) -> list[ScheduledJob]:
    """What waits, the soonest first.

    Raises:
        YardNotReadyError: there is no yard.
        BusUnavailableError: the bus did not answer, or not in time.
    """
    found: list[ScheduledJob] = []

    def look(subject: str, message_headers: dict[str, str], _: bytes) -> None:
        # What is no schedule becomes a dead letter, whose list tells of it.
        with suppress(ValueError, KeyError, BadSubjectError):
            found.append(_read(link, subject, message_headers))

    await link.delayed.now()  # a scan takes a stream that is not there for an empty one
    subjects = link.bus.subjects
    tenant = "*" if all_tenants else subject_token(link.tenant)
    try:
        stream = subjects.stream("delayed")
        whole = await scan(
            link.bus, stream, f"{subjects.prefix}.delayed.{tenant}.*", look, seconds=SCAN_SECONDS
        )
    except nats.errors.Error as error:
        reason = str(error).removeprefix("nats: ") or type(error).__name__
        raise BusUnavailableError(url=link.settings.url, reason=reason) from error
    if not whole:
        reason = f"the list of scheduled jobs took over {SCAN_SECONDS:g} s"
        raise BusUnavailableError(url=link.settings.url, reason=reason)
    return sorted(found, key=lambda one: (one.at, one.job_id))


def _read(link: Link, subject: str, message_headers: dict[str, str]) -> ScheduledJob:
    at = datetime.fromisoformat(message_headers[headers.SCHEDULE].removeprefix("@at ").strip())
    return ScheduledJob(
        job_id=subject.rpartition(".")[2],
        at=at.timestamp(),
        address=link.bus.subjects.parse_job(message_headers[headers.SCHEDULE_TARGET]),
        attempt=int(message_headers.get(headers.ATTEMPT, "1")),
    )
