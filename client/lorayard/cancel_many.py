"""Cancel many jobs: by their ids, or all that fit a query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import nats.errors

from lorayard.errors import BusUnavailableError, InvalidRequestError, LorayardError
from lorayard.job_ids import check_job_id
from lorayard_schemas import headers
from lorayard_schemas.assignment import CancelOutcome
from lorayard_schemas.cancel_many import MeantJob, Place, SeenAt
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import Lane
from lorayard_schemas.names import split_version, subject_token
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.subjects import BadSubjectError, JobAddress
from lorayard_schemas.trace_context import trace_fields
from lorayard_shared.bus.scanning import Lying, last_sequence, walk

if TYPE_CHECKING:
    from lorayard.cancel_together import Told
    from lorayard.link import Link

MOST = 10_000
"""Cancelled by one query unless more are allowed: a query that fits too much is more often a mistake."""


MOST_TOLD = 100
"""Ids that an audit record names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelQuery:
    """Which unfinished jobs of the client's tenant are meant: those that fit all that is given."""

    adapter: str | None = None
    """As jobs name it: a name (any version), or `name@version`; `base`. Those that name none don't fit."""
    named: str | None = None
    """Just as jobs name it, one line of the queues: of a plain name not those that name a version of it."""
    lane: str | None = None
    session: str | None = None
    older_than_seconds: float | None = None
    """Since they were published; for those that are tried again since that was decided."""

    def check(self) -> None:
        """Raises:
        InvalidRequestError: nothing is given, or what is given cannot be.
        """
        if self.lane is not None and self.lane not in tuple(Lane):
            raise InvalidRequestError(field="lane", reason=f"one of {', '.join(Lane)}")
        if self.older_than_seconds is not None and not self.older_than_seconds >= 0:
            raise InvalidRequestError(field="older_than_seconds", reason="must not be negative")

    @property
    def told(self) -> str:
        """What is given, for the audit trail."""
        given = {
            "adapter": self.adapter,
            "named": self.named,
            "lane": self.lane,
            "session": self.session,
            "older_than_seconds": self.older_than_seconds,
        }
        return ", ".join(f"{name}={value}" for name, value in given.items() if value is not None) or "all"

    def fits(self, address: JobAddress, session: str | None, age_seconds: float) -> bool:
        """Whether a job is meant."""
        if self.lane is not None and address.lane != self.lane:
            return False
        if self.older_than_seconds is not None and age_seconds < self.older_than_seconds:
            return False
        if self.named is not None and address.adapter != self.named:
            return False
        if self.session is not None and session != self.session:
            return False
        if self.adapter is None:
            return True
        named = address.adapter or ""
        return self.adapter in (named, split_version(named)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelReport:
    """What became of each."""

    outcomes: Mapping[str, CancelOutcome | LorayardError]
    """By job id."""
    beyond: int = 0
    """Jobs that fitted, too, and were left alone: more than was allowed."""

    def count(self, outcome: CancelOutcome) -> int:
        """How many ended so."""
        return Counter(one for one in self.outcomes.values() if not isinstance(one, LorayardError))[outcome]

    @property
    def errors(self) -> dict[str, LorayardError]:
        """Those that may not have been cancelled, and why."""
        return {job: one for job, one in self.outcomes.items() if isinstance(one, LorayardError)}


async def cancel_many(link: Link, job_ids: Iterable[str]) -> CancelReport:
    """Cancel jobs of the client's tenant; trouble with one leaves the others alone.

    Raises:
        InvalidRequestError: one of them cannot be a job's id; none was cancelled.
    """
    ids = list(dict.fromkeys(check_job_id(job_id) for job_id in job_ids))
    return CancelReport(outcomes=await _ended(link, [MeantJob(job=job_id) for job_id in ids], ""))


async def cancel_where(link: Link, query: CancelQuery, *, most: int, dry_run: bool) -> CancelReport:
    """Cancel the unfinished jobs that fit, the oldest first, in whatever state; see `Client.cancel_where`."""
    query.check()
    if most < 1:
        raise InvalidRequestError(field="most", reason="must be 1 or more")
    found = await _find(link, query)
    meant, beyond = found[:most], max(0, len(found) - most)
    if dry_run:
        none = dict.fromkeys((one.job for one in meant), CancelOutcome.NOT_HERE)
        return CancelReport(outcomes=none, beyond=beyond)
    return CancelReport(outcomes=await _ended(link, meant, query.told), beyond=beyond)


async def _ended(link: Link, meant: Sequence[MeantJob], query: str) -> Told:
    """End them, and keep in the audit trail who did; what became of each is in its own records."""
    from lorayard.cancel_together import end_jobs  # with all that reads workers' adverts

    if not meant:
        return {}
    ids = [one.job for one in meant]
    named = ", ".join(ids[:MOST_TOLD]) + (" ..." if len(ids) > MOST_TOLD else "")
    job = ids[0] if len(ids) == 1 else ""
    async with link.acting("cancel", tenant=link.tenant, job=job, jobs=len(ids), about=query or named):
        return await end_jobs(link, meant)


async def _find(link: Link, query: CancelQuery) -> list[MeantJob]:
    """The jobs that fit, the oldest first."""
    subjects, tenant = link.bus.subjects, subject_token(link.tenant)
    found: list[tuple[float, MeantJob]] = []
    now = await link.delayed.now()  # and a scan takes a stream that is not there for an empty one

    def look(place: Place, lying: Lying) -> None:
        with suppress(BadSubjectError, MalformedMessageError, ValueError):
            address = subjects.parse_job(lying.headers.get(headers.SCHEDULE_TARGET, lying.subject))
            job, at = read_job(lying.body), _stored_at(lying.headers, now)
            if query.fits(address, job.session, max(0.0, now - at)):
                seen = SeenAt(place=place, sequence=lying.sequence, **trace_fields(job))
                found.append((at, MeantJob(job=job.id, seen=seen)))

    for kind, place, pattern in (
        ("jobs", Place.JOBS, f"jobs.{query.lane or '*'}.{tenant}.>"),
        # The way that jobs go: what goes on meanwhile is met again, not missed.
        ("delayed", Place.DELAYED, f"delayed.{tenant}.*"),
        ("delayed", Place.DUE, f"due.{query.lane or '*'}.{tenant}.>"),
    ):
        try:
            stream, pattern = subjects.stream(kind), f"{subjects.prefix}.{pattern}"
            # As long as it takes, a page at a time, and no further than to what was there when it began.
            end = await last_sequence(link.bus, stream)
            async for page in walk(link.bus, stream, pattern, until=end):
                for lying in page:
                    look(place, lying)
        except nats.errors.Error as error:
            reason = str(error).removeprefix("nats: ") or type(error).__name__
            raise BusUnavailableError(url=link.settings.url, reason=reason) from error
    oldest: dict[str, MeantJob] = {}
    for _, one in sorted(found, key=lambda each: each[0]):
        oldest.setdefault(one.job, one)  # it may have gone from one stream to the other meanwhile
    return list(oldest.values())


def _stored_at(message_headers: Mapping[str, str], now: float) -> float:
    """Unix seconds, by the server's clock."""
    text = message_headers.get("Nats-Time-Stamp", "")
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return now
