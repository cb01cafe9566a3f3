"""One job as the table of jobs has it, wherever it was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lorayard import EndedJob, QueuedJob, ScheduledJob


class Where(StrEnum):
    """Where a job was found."""

    RUNS = "at worker"
    QUEUED = "queued"
    SCHEDULED = "scheduled"
    RETRIES = "retries"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


UNFINISHED = frozenset({Where.RUNS, Where.QUEUED, Where.SCHEDULED, Where.RETRIES})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJob:
    """What is known of it without asking about it alone."""

    job: str
    tenant: str
    where: Where
    at: float
    """Unix seconds: queued since, due at, or ended at."""
    lane: str = ""
    adapter: str | None = None
    attempt: int = 1
    worker: str = ""
    total_ms: float = 0.0
    code: str = ""

    @property
    def unfinished(self) -> bool:
        """Whether it can still be cancelled."""
        return self.where in UNFINISHED


def of_queued(found: Iterable[QueuedJob]) -> list[ListedJob]:
    """Those that wait, and those that run."""
    return [
        ListedJob(
            job=one.job_id,
            tenant=one.address.tenant,
            where=Where.QUEUED if one.worker is None else Where.RUNS,
            at=one.since,
            lane=one.address.lane.value,
            adapter=one.address.adapter,
            attempt=one.attempt,
            worker=one.worker or "",
        )
        for one in found
    ]


def of_scheduled(found: Iterable[ScheduledJob]) -> list[ListedJob]:
    """Those that wait for their time."""
    return [
        ListedJob(
            job=one.job_id,
            tenant=one.address.tenant,
            where=Where.SCHEDULED if one.attempt == 1 else Where.RETRIES,
            at=one.at,
            lane=one.address.lane.value,
            adapter=one.address.adapter,
            attempt=one.attempt,
        )
        for one in found
    ]


def of_ended(found: Iterable[EndedJob]) -> list[ListedJob]:
    """Those that have a result."""
    return [
        ListedJob(
            job=one.job_id,
            tenant=one.tenant,
            where=Where(one.state.value),
            at=one.at,
            adapter=one.adapter,
            worker=one.worker or "",
            total_ms=one.total_ms,
            code=one.code or "",
        )
        for one in found
    ]
