"""Read a delivery: a job the yard can serve, or the reason why it cannot (never a silent drop)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from lorayard_schemas import headers
from lorayard_schemas.codec import decode
from lorayard_schemas.composition import COMPOSED
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import MAX_JOB_BYTES, Job, JobStub
from lorayard_schemas.names import CHOOSE
from lorayard_schemas.plain_job import read_job
from lorayard_schemas.subjects import BadSubjectError, JobAddress, Subjects
from lorayard_schemas.trace_context import UNTRACED, trace_fields
from lorayard_shared.bus.delivery import Delivery, read_ack_subject
from lorayard_shared.bus.heard import Heard
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.logs import Event

_ATTEMPT_DIGITS = 6
_SCHEDULER = headers.SCHEDULER.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A delivery that is no job. With `job` and `address` it can still be answered."""

    delivery: Delivery
    lease: str
    subject: str
    body: bytes
    field: str
    reason: str
    job: str | None = None
    address: JobAddress | None = None
    traced: Mapping[str, str] = dataclasses.field(default_factory=lambda: UNTRACED)


def read_message(
    subjects: Subjects, message: Heard, log: structlog.stdlib.BoundLogger
) -> TakenJob | Unreadable | None:
    """Read what a pull brought; None, and a line in the log, for what was no delivery."""
    try:
        return read_delivery(
            subjects,
            subject=message.subject,
            reply=message.reply,
            body=message.data,
            message_headers=(message.headers or {}) if _has_word(message) else {},
        )
    except ValueError as error:
        log.error(Event.MESSAGE_MALFORMED, subject=message.subject, reason=str(error))
        return None


def _has_word(message: Heard) -> bool:
    """Whether its headers say anything that is read here; most jobs' do not."""
    return message.mentions(headers.OURS) or message.mentions(_SCHEDULER)


def read_delivery(
    subjects: Subjects, *, subject: str, reply: str, body: bytes, message_headers: Mapping[str, str]
) -> TakenJob | Unreadable:
    """Read one message of a lane's consumer.

    Raises:
        ValueError: `reply` is not an ack subject, so this was no delivery.
    """
    delivery = read_ack_subject(reply)
    address: JobAddress | None = None
    if (stolen := _anothers(subjects, subject, message_headers)) is not None:
        # What it names is another tenant's: no answer there, only a dead letter with whoever sent it.
        return Unreadable(
            delivery=delivery,
            lease=reply,
            subject=stolen,
            body=body,
            field=f"header {headers.SCHEDULE_TARGET}",
            reason=ANOTHERS,
        )
    try:
        address = subjects.parse_job(subject)
        _check_size(subject, body, message_headers)
        attempt = _attempt(message_headers)
        job = read_job(body)
        _check_composition(address, job)
    except (BadSubjectError, MalformedMessageError) as error:
        return _unreadable(delivery, subject, reply, body, address, error)
    return TakenJob(
        key=delivery.key,
        lease=reply,
        subject=subject,
        address=address,
        job=job.id,
        body=body,
        attempt=attempt,
        history=message_headers.get(headers.HISTORY),
        deliveries=delivery.deliveries,
        enqueued_at=delivery.stored_at,
        deadline=_ends_waiting(job, attempt),
        session=job.session,
        composition=job.composition,
        task=job.task,
        metadata=job.metadata,
        bound=message_headers.get(headers.BOUND),
        snoozed=message_headers.get(headers.SNOOZED),
        request_digest=job.request_digest,
        traced=trace_fields(job),
        traceparent=job.traceparent,
        prompt_bytes=_prompt_bytes(job, body),
        max_new_tokens=job.sampling.max_new_tokens,
        plan=message_headers.get(headers.PLAN),
    )


ANOTHERS = "the target is another tenant's than the schedule"


def _anothers(subjects: Subjects, subject: str, message_headers: Mapping[str, str]) -> str | None:
    """Where the schedule lay that has let this go for another tenant than its own; None: it is in order.

    The server lets a schedule name any tenant in its target; where it lies, an account's imports decide.
    """
    scheduler = message_headers.get(headers.SCHEDULER)
    if scheduler is None or not subject.startswith(f"{subjects.prefix}.due."):
        return None
    return None if same_tenant(scheduler, subject) else scheduler


def same_tenant(delayed: str, due: str) -> bool:
    """Whether a schedule's subject and its target's are of one tenant."""
    return delayed.split(".")[2:3] == due.split(".")[3:4]


def _prompt_bytes(job: Job, body: bytes) -> int:
    if job.prompt is not None:
        return len(job.prompt)
    return job.prompt_ref.size_bytes if job.prompt_ref is not None else len(body)


def _ends_waiting(job: Job, attempt: int) -> float | None:
    """When one that still waits expires; a further attempt has begun before."""
    if job.start_by is None or attempt > 1:
        return job.deadline
    return job.start_by if job.deadline is None else min(job.start_by, job.deadline)


def _check_size(subject: str, body: bytes, message_headers: Mapping[str, str]) -> None:
    size = len(subject) + len(body) + len(message_headers.get(headers.HISTORY, ""))
    if size > MAX_JOB_BYTES:
        raise MalformedMessageError(
            kind="Job",
            field="",
            reason=f"{size} bytes, at most {MAX_JOB_BYTES}: a longer prompt goes by reference (prompt_ref)",
        )


def _check_composition(address: JobAddress, job: Job) -> None:
    """One adapter in the subject, or several in the body: whoever knows of no compositions goes by the
    subject, and must not answer without them."""
    named = address.adapter
    if job.composition is None:
        if named is not None and named.startswith(COMPOSED):
            reason = f"the subject names {named!r}, so the job needs a composition, and has none"
            raise MalformedMessageError(kind="Job", field="composition", reason=reason)
    elif named != job.composition.address:
        reason = (
            f"the subject names {'no adapter' if named is None else repr(named)}: a job with a composition "
            f"names none of its own, and goes to the subject of {job.composition.address!r}"
        )
        raise MalformedMessageError(kind="Job", field="composition", reason=reason)


def _attempt(message_headers: Mapping[str, str]) -> int:
    text = message_headers.get(headers.ATTEMPT)
    if text is None:
        return 1
    if len(text) > _ATTEMPT_DIGITS or not text.isdecimal() or int(text) < 1:
        raise MalformedMessageError(
            kind="Job", field=f"header {headers.ATTEMPT}", reason=f"{text[:32]!r} is not a count from 1 up"
        )
    return int(text)


def _unreadable(
    delivery: Delivery,
    subject: str,
    lease: str,
    body: bytes,
    address: JobAddress | None,
    error: BadSubjectError | MalformedMessageError,
) -> Unreadable:
    place, reason = (
        (error.field, error.reason) if isinstance(error, MalformedMessageError) else ("subject", str(error))
    )
    stub = read_stub(body)
    return Unreadable(
        delivery=delivery,
        lease=lease,
        subject=subject,
        body=body,
        field=place,
        reason=reason,
        job=None if stub is None else stub.id,
        address=address,
        traced=UNTRACED if stub is None else trace_fields(stub),
    )


def read_stub(body: bytes) -> JobStub | None:
    """As much as is needed to answer it; None: it has no id that could be answered."""
    try:
        return decode(JobStub, body)
    except MalformedMessageError:
        return None


def dead_tenant(subject: str) -> str:
    """The subject token under which an unreadable job's dead letter is kept."""
    parts = subject.split(".")
    return parts[-2] if len(parts) >= 2 and parts[-2] else CHOOSE
