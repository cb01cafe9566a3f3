"""What a request takes from where it is made: the deadline, and a place in opentelemetry's trace."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from lorayard.deadlines import seconds_left
from lorayard.errors import DeadlinePassedError
from lorayard.request import GenerateRequest

_OPENTELEMETRY = "opentelemetry.trace"


def in_context(request: GenerateRequest) -> GenerateRequest:
    """The request with what it does not say itself.

    Raises:
        DeadlinePassedError: the deadline around has passed.
    """
    taken: dict[str, Any] = {}
    left = seconds_left()
    if left is not None and _is_later(request.deadline_seconds, left):
        taken["deadline_seconds"] = left
    if request.traceparent is None and _OPENTELEMETRY in sys.modules:
        traceparent = _created(request)
        if traceparent is not None:
            taken["traceparent"] = traceparent
    return replace(request, **taken) if taken else request


def _is_later(own: object, left: float) -> bool:
    if left <= 0:
        raise DeadlinePassedError
    return own is None or (isinstance(own, int | float) and own > left)


def _created(request: GenerateRequest) -> str | None:
    """Of a span of the job's own, in the one that the caller is in, if the caller records any; else of that.
    Who has not imported opentelemetry is in none."""
    api = sys.modules[_OPENTELEMETRY]
    about = {"messaging.system": "nats", "messaging.operation.type": "create"}
    about["messaging.destination.name"] = destination = f"jobs.{request.lane}"
    if isinstance(request.adapter, str):
        about["gen_ai.request.model"] = request.adapter
    tracer = api.get_tracer("lorayard")
    span = tracer.start_span(f"create {destination}", kind=api.SpanKind.PRODUCER, attributes=about)
    span.end()
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
