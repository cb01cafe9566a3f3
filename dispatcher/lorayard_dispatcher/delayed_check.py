"""Find what waits in `yard.delayed.>` for a time that never comes.

The server checks a schedule only where there is one: a publish without its headers is stored like any
message, and one that repeats (`@every`, cron) is never over. Neither would ever be answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from lorayard_schemas import headers
from lorayard_schemas.trace_context import UNTRACED, trace_fields
from lorayard_shared.bus.delivery import read_ack_subject
from lorayard_shared.bus.heard import Heard
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.intake import ANOTHERS, Unreadable, read_stub, same_tenant
from lorayard_shared.logs import Event

ONCE = "@at "


def never_served(
    *, subject: str, reply: str, body: bytes, message_headers: Mapping[str, str]
) -> Unreadable | None:
    """Why one message of the consumer `check-delayed` is never served; None when its time will come.

    Raises:
        ValueError: `reply` is not an ack subject, so this was no delivery.
    """
    delivery = read_ack_subject(reply)
    found = _fault(subject, message_headers)
    if found is None:
        return None
    field, reason = found
    stub = read_stub(body)
    return Unreadable(
        delivery=delivery,
        lease=reply,
        subject=subject,
        body=body,
        field=f"header {field}",
        reason=reason,
        job=None if stub is None else stub.id,
        traced=UNTRACED if stub is None else trace_fields(stub),
    )


def _fault(subject: str, message_headers: Mapping[str, str]) -> tuple[str, str] | None:
    schedule = message_headers.get(headers.SCHEDULE)
    if schedule is None:
        return headers.SCHEDULE, "missing: a delayed job says when it runs, as `@at 2026-11-22T03:00:00Z`"
    if not schedule.startswith(ONCE):
        return headers.SCHEDULE, f"{schedule[:64]!r} repeats: a job runs once, at `@at` and a time"
    target = message_headers.get(headers.SCHEDULE_TARGET)
    if target is not None and not same_tenant(subject, target):
        return headers.SCHEDULE_TARGET, ANOTHERS
    if target is None:
        return headers.SCHEDULE_TARGET, "missing: the subject under `due` where the job goes at its time"
    return None


class DelayedCheck:
    """Sees each schedule once, and answers those that the server will never serve."""

    def __init__(
        self, answers: Answers, spawn: Callable[..., object], log: structlog.stdlib.BoundLogger
    ) -> None:
        self._answers = answers
        self._spawn = spawn
        self._log = log

    def on_message(self, message: Heard) -> None:
        """A message that was put among the schedules; those in order wait on there."""
        try:
            found = never_served(
                subject=message.subject,
                reply=message.reply,
                body=message.data,
                message_headers=message.headers or {},
            )
        except ValueError as error:
            self._log.error(Event.MESSAGE_MALFORMED, subject=message.subject, reason=str(error))
            return
        if found is not None:
            self._spawn(self._answers.unreadable(found), f"answer-{found.delivery.key}")
