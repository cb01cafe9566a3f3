"""Ask where a job is now, and say it as values."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lorayard.answering import Answering
from lorayard.errors import BusRefusedError
from lorayard.job_status import JobPlace, JobStatus
from lorayard.yard_view import list_workers
from lorayard_schemas.control import told
from lorayard_schemas.explanation import WaitReason
from lorayard_shared.explaining.evidence import Evidence, JobState
from lorayard_shared.explaining.gather import gather
from lorayard_shared.explaining.sentences import sentence

if TYPE_CHECKING:
    from lorayard.link import Link

_TIMED = (JobPlace.SCHEDULED, JobPlace.RETRYING)
_HOLDS = (WaitReason.STRUCK, WaitReason.PAUSED, WaitReason.CAPPED, WaitReason.LIMIT)


async def ask_status(link: Link, job_id: str) -> JobStatus:
    """As `JobHandle.status`."""
    async with Answering(link):
        workers = await _living(link)
        found = await gather(link.bus, link.tenant, job_id, workers or frozenset())
        if workers is None:
            found = replace(found, workers=frozenset(record.worker for record in found.records))
        return read_status(found)


async def _living(link: Link) -> frozenset[str] | None:
    """Names of the workers; None: a tenant in an account of its own is not told, and none counts as dead."""
    try:
        return frozenset(advert.worker for advert in await list_workers(link))
    except BusRefusedError:
        return None


def read_status(found: Evidence) -> JobStatus:
    """What was found of a job, as its user sees it."""
    live, schedule, result, queued = found.live, found.schedule, found.result, found.queued
    place = _place(found)
    waits = place in (JobPlace.QUEUED, JobPlace.PARKED, JobPlace.HELD)
    return JobStatus(
        job_id=found.job,
        place=place,
        sentence=sentence(found),
        state=result.state if result is not None else None,
        lane=live.lane if live is not None else queued.lane if queued is not None else None,
        adapter=live.adapter if live is not None else queued.adapter if queued is not None else None,
        worker=_worker(found) if place in (JobPlace.AT_WORKER, JobPlace.ENDED) else None,
        attempt=_attempt(found),
        at=schedule.at if schedule is not None and place in _TIMED else None,
        waited_seconds=_waited(found) if waits else None,
        reason=_reason(found) if waits else None,
        held_by=_held_by(found) if place is JobPlace.HELD else None,
        last_error=_last_error(found),
    )


def _place(found: Evidence) -> JobPlace:
    match found.state:
        case JobState.FINISHED:
            return JobPlace.ENDED
        case JobState.HANDED_OVER:
            return JobPlace.AT_WORKER
        case JobState.DELAYED:
            return JobPlace.SCHEDULED
        case JobState.RETRYING:
            return JobPlace.RETRYING
        case JobState.UNKNOWN:
            return JobPlace.UNKNOWN
        case JobState.PARKED:
            return JobPlace.HELD if _reason(found) in _HOLDS else JobPlace.PARKED
        case JobState.QUEUED:
            return JobPlace.HELD if found.pause is not None else JobPlace.QUEUED
        case JobState.GIVEN_OUT:
            lives = found.records[-1].worker in found.workers and found.returned is None
            return JobPlace.AT_WORKER if lives else JobPlace.QUEUED


def _reason(found: Evidence) -> WaitReason | None:
    if found.live is not None:
        return found.live.reason
    return WaitReason.PAUSED if found.pause is not None else None


def _held_by(found: Evidence) -> str | None:
    if found.pause is not None:
        return told(found.pause)
    return found.live.detail if found.live is not None else None


def _worker(found: Evidence) -> str | None:
    if found.result is not None:
        return found.result.maker.worker if found.result.maker is not None else None
    if found.live is not None:
        return found.live.worker
    return found.records[-1].worker if found.records else None


def _attempt(found: Evidence) -> int:
    if found.result is not None:
        return found.result.attempt
    known = [record.attempt for record in found.records]
    if found.live is not None:
        known.append(found.live.attempt)
    if found.schedule is not None:
        known.append(found.schedule.attempt)
    return max(known, default=1)


def _waited(found: Evidence) -> float | None:
    if found.live is not None:
        return found.live.waited_seconds
    return found.now - found.queued.stored_at if found.queued is not None else None


def _last_error(found: Evidence) -> str | None:
    failure = found.schedule.failure if found.schedule is not None else None
    return f"{failure.code}: {failure.message}" if failure is not None else None
