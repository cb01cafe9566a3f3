"""What a request takes from where it is made: the deadline, and a place in opentelemetry's trace."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lorayard.deadlines import seconds_left
from lorayard.errors import DeadlinePassedError
from lorayard.request import GenerateRequest

_OPENTELEMETRY = "opentelemetry.trace"
_CONTEXT = "opentelemetry.context"  # which that imports

Place = Callable[[GenerateRequest], GenerateRequest]


def in_context(request: GenerateRequest) -> GenerateRequest:
    """The request with what it does not say itself: its span is a child of the one that the caller is in.

    Raises:
        DeadlinePassedError: the deadline around has passed.
    """
    return _placed(request, _created)


def in_batch(request: GenerateRequest) -> GenerateRequest:
    """The same of one of many: each begins a trace, linked to the span that the caller is in. A trace with
    the spans of thousands of jobs is kept by no backend and read by nobody.

    Raises:
        DeadlinePassedError: the deadline around has passed.
    """
    return _placed(request, _begun)


def _placed(request: GenerateRequest, created: Callable[[GenerateRequest], str | None]) -> GenerateRequest:
    taken: dict[str, Any] = {}
    left = seconds_left()
    if left is not None and _is_later(request.deadline_seconds, left):
        taken["deadline_seconds"] = left
    if request.traceparent is None and _OPENTELEMETRY in sys.modules:
        traceparent = created(request)
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
    return _producer_span(request)


def _begun(request: GenerateRequest) -> str | None:
    """The same, in a trace of its own; but none is begun for a caller whose trace is left out."""
    api = sys.modules[_OPENTELEMETRY]
    around = api.get_current_span().get_span_context()
    if around.is_valid and not around.trace_flags.sampled:
        return _created(request)
    links = [api.Link(around)] if around.is_valid else []
    return _producer_span(request, context=sys.modules[_CONTEXT].Context(), links=links) or _created(request)


def _producer_span(request: GenerateRequest, **given: Any) -> str | None:
    api = sys.modules[_OPENTELEMETRY]
    about = {"messaging.system": "nats", "messaging.operation.type": "create"}
    about["messaging.destination.name"] = destination = f"jobs.{request.lane}"
    if isinstance(request.adapter, str):
        about["gen_ai.request.model"] = request.adapter
    tracer = api.get_tracer("lorayard")
    span = tracer.start_span(f"create {destination}", kind=api.SpanKind.PRODUCER, attributes=about, **given)
    span.end()
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
