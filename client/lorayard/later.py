"""When a request's job starts, if not now."""

from __future__ import annotations

from datetime import UTC, datetime

from lorayard.errors import InvalidRequestError
from lorayard.request import GenerateRequest
from lorayard_schemas import headers
from lorayard_schemas.subjects import Subjects

MOST_SECONDS = 366 * 86_400.0
"""A year: what lies further off is more often a mistake in a unit than a plan."""


def is_later(request: GenerateRequest) -> bool:
    """Whether it says anything of when it starts."""
    return request.delay_seconds is not None or request.at is not None


def starts_at(request: GenerateRequest, *, now: float) -> float | None:
    """When its job starts, in unix seconds; None: at once, also where that time is over.

    `now` is the clock of the server, which starts it: a delay is as long as was asked for, whatever the
    clock here shows.

    Raises:
        InvalidRequestError: it names no time, one too far off, or a deadline before it.
    """
    if request.at is not None and request.delay_seconds is not None:
        raise InvalidRequestError(field="at", reason="the request has delay_seconds too: send one of the two")
    at = now + _delay(request.delay_seconds) if request.at is None else _moment(request.at, now)
    if at <= now:
        return None
    deadline = request.deadline_seconds
    if isinstance(deadline, int | float) and 0 < deadline <= at - now:
        reason = f"the job would expire {deadline:g} s from now, before it starts in {at - now:g} s"
        raise InvalidRequestError(field="deadline_seconds", reason=reason)
    return at


def schedule_headers(subjects: Subjects, subject: str, at: float) -> dict[str, str]:
    """Headers that have the server publish the message at its time, as a due job of the same address.

    The server refuses it (10071) where one of the same job waits already.
    """
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        headers.SCHEDULE: f"@at {moment}",
        headers.SCHEDULE_TARGET: subjects.due_of(subject),
        headers.EXPECTED_LAST_SUBJECT_SEQUENCE: "0",
    }


def _delay(seconds: object) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MOST_SECONDS:
        reason = f"seconds from 0 to {MOST_SECONDS:.0f} (366 days) are needed"
        raise InvalidRequestError(field="delay_seconds", reason=reason)
    return float(seconds)


def _moment(at: object, now: float) -> float:
    if isinstance(at, datetime):
        if at.tzinfo is None:
            reason = "the datetime has no time zone: write datetime(..., tzinfo=UTC), or another zone"
            raise InvalidRequestError(field="at", reason=reason)
        at = at.timestamp()
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < float("inf"):
        reason = "a datetime with a time zone, or unix seconds are needed"
        raise InvalidRequestError(field="at", reason=reason)
    if at - now > MOST_SECONDS:
        reason = "it is more than 366 days from now; are these milliseconds?"
        raise InvalidRequestError(field="at", reason=reason)
    return float(at)
