"""Find what the yard knows of one job: its result, its dispatcher, its schedule, its audit records."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import datetime
from typing import cast

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg
from pydantic import TypeAdapter, ValidationError

from lorayard_schemas import headers
from lorayard_schemas.attempt import AttemptRecord
from lorayard_schemas.audit import AuditKind, DecisionRecord, ReturnRecord
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.control import Controlled, Pause
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.explanation import ExplainJob, JobExplanation, Whereabouts
from lorayard_schemas.job import JobStub
from lorayard_schemas.names import subject_token
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.asked import NotPermittedError
from lorayard_shared.bus.connection import Bus
from lorayard_shared.explaining.evidence import Evidence, JobState, Queued, Schedule
from lorayard_shared.registry.control_store import ControlStore

ANSWER_SECONDS = 0.5
"""Every dispatcher answers, also when it does not know the job; nobody knows how many there are."""

RECORDS_MAX = 200
"""A job's records, one or two per attempt and worker; of more the first are read."""

QUEUED_MAX = 2000
"""Jobs looked through in their streams, a third of a millisecond each, for one that left no other trace."""

_HISTORY = TypeAdapter(tuple[AttemptRecord, ...])
_SCHEDULED_AT = "@at "


async def gather(bus: Bus, tenant: str, job: str, workers: frozenset[str]) -> Evidence:
    """Look everywhere; `workers` are the names of those alive.

    Raises:
        nats.errors.Error: the bus does not answer.
    """
    answers, schedule, records = await asyncio.gather(
        _ask(bus, tenant, job), _schedule(bus, tenant, job), _records(bus, tenant, job)
    )
    found = Evidence(
        job=job,
        tenant=tenant,
        now=time.time(),
        # Last: a job that ends while we look has ended.
        result=await _result(bus, tenant, job),
        answers=answers,
        schedule=schedule,
        records=records,
        workers=workers,
        ack_wait_seconds=bus.settings.ack_wait_seconds,
    )
    if found.state is not JobState.UNKNOWN:
        return found
    queued = await _queued(bus, tenant, job)
    pause = await _pause(bus, queued, tenant, found.now) if queued is not None else None
    return Evidence(job=job, tenant=tenant, now=found.now, answers=answers, queued=queued, pause=pause)


async def _pause(bus: Bus, queued: Queued, tenant: str, now: float) -> Pause | None:
    meant = {(Controlled.LANE, queued.lane), (Controlled.TENANT, tenant)}
    try:
        pauses = await ControlStore(bus).pauses(now)
    except nats.js.errors.NotFoundError:
        return None  # no yard has told of any
    except (NotPermittedError, nats.js.errors.ServiceUnavailableError):
        return None  # a tenant in an account of its own is not told
    return next((pause for pause in pauses if (pause.kind, pause.name) in meant), None)


async def _ask(bus: Bus, tenant: str, job: str) -> tuple[JobExplanation, ...]:
    """Until one dispatcher has the job, or none has for a while; empty when there is none."""
    answers: list[JobExplanation] = []
    known = asyncio.Event()

    async def take(message: Msg) -> None:
        status = (message.headers or {}).get("Status")
        with suppress(MalformedMessageError):
            if status is None:
                answers.append(decode(JobExplanation, message.data))
        if status is not None or (answers and answers[-1].where is not Whereabouts.NOT_HERE):
            known.set()

    inbox = bus.nc.new_inbox()
    subscription = await bus.nc.subscribe(inbox, cb=take)
    try:
        wish = encode(ExplainJob(tenant=tenant, job=job))
        await bus.nc.publish(bus.subjects.dispatcher("explain"), wish, reply=inbox)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await known.wait()
    finally:
        await subscription.unsubscribe()
    return tuple(answers)


async def _result(bus: Bus, tenant: str, job: str) -> JobResult | None:
    found = await _last(bus, "results", bus.subjects.result(tenant, job))
    return None if found is None else decode(JobResult, found.data or b"")


async def _schedule(bus: Bus, tenant: str, job: str) -> Schedule | None:
    found = await _last(bus, "delayed", bus.subjects.delayed_job(tenant, job))
    if found is None:
        return None
    said = cast("dict[str, str]", found.headers or {})
    history: tuple[AttemptRecord, ...] = ()
    with suppress(ValidationError):
        history = _HISTORY.validate_json(said.get(headers.HISTORY, "[]"))
    attempt = said.get(headers.ATTEMPT, "1")
    return Schedule(
        at=_time(said.get(headers.SCHEDULE, "")),
        attempt=int(attempt) if attempt.isdecimal() and len(attempt) < 7 else 1,
        failure=history[-1] if history else None,
    )


def _time(schedule: str) -> float | None:
    with suppress(ValueError):
        if schedule.startswith(_SCHEDULED_AT):
            return datetime.fromisoformat(schedule.removeprefix(_SCHEDULED_AT)).timestamp()
    return None


async def _records(bus: Bus, tenant: str, job: str) -> tuple[DecisionRecord | ReturnRecord, ...]:
    subject, returned = bus.subjects.job_audit("*", tenant, job), f".{AuditKind.RETURN}."
    records: list[DecisionRecord | ReturnRecord] = []
    sequence = 1
    while len(records) < RECORDS_MAX:
        found = await _next(bus, "audit", subject, sequence)
        if found is None:
            break
        sequence = (found.seq or sequence) + 1
        with suppress(MalformedMessageError):
            is_return = returned in (found.subject or "")
            body = found.data or b""
            records.append(decode(ReturnRecord, body) if is_return else decode(DecisionRecord, body))
    return tuple(records)


async def _queued(bus: Bus, tenant: str, job: str) -> Queued | None:
    """Look through the tenant's jobs that wait in the streams."""
    for kind, head in (("jobs", "jobs"), ("delayed", "due")):
        subject = f"{bus.subjects.prefix}.{head}.*.{subject_token(tenant)}.*"
        sequence = 1
        for _ in range(QUEUED_MAX):
            found = await _next(bus, kind, subject, sequence)
            if found is None:
                break
            sequence = (found.seq or sequence) + 1
            if _job_id(found) == job:
                return _seen(bus, found)
    return None


def _job_id(found: RawStreamMsg) -> str | None:
    try:
        return decode(JobStub, found.data or b"").id
    except MalformedMessageError:
        return None


def _seen(bus: Bus, found: RawStreamMsg) -> Queued:
    address = bus.subjects.parse_job(found.subject or "")
    stored_at = found.time.timestamp() if found.time is not None else time.time()
    return Queued(stored_at=stored_at, lane=address.lane, adapter=address.adapter)


async def _last(bus: Bus, kind: str, subject: str) -> RawStreamMsg | None:
    return await _get(bus, kind, subject, None)


async def _next(bus: Bus, kind: str, subject: str, sequence: int) -> RawStreamMsg | None:
    return await _get(bus, kind, subject, sequence)


async def _get(bus: Bus, kind: str, subject: str, sequence: int | None) -> RawStreamMsg | None:
    """The last message of a subject, or the first from a sequence on; None where there is none."""
    with suppress(nats.js.errors.NotFoundError, nats.errors.NoRespondersError):
        return await bus.js.get_msg(
            bus.subjects.stream(kind),
            seq=sequence,
            subject=subject,
            direct=True,
            next=sequence is not None,
        )
    return None
