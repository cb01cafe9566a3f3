"""What happened to a job, as spans of its caller's trace.

A span is made when it is over, from times that the yard keeps anyway, so that nothing is carried along with a
job. One that has no `traceparent` is in a trace of its own, whose id is the job's: so its spans find together
whichever process made them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from lorayard_shared.errors import SettingsError
from lorayard_shared.process import in_daemon_thread
from lorayard_shared.settings import YardSettings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

LAST_SECONDS = 3
"""For spans that are still here when the process ends."""

_NANOSECONDS = 1_000_000_000

Value = str | int | float
SpanKind = Literal["internal", "consumer"]


class Tracer:
    """Makes spans of jobs."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind as Kind

        self._tracer = provider.get_tracer("lorayard")
        self._kinds = {"internal": Kind.INTERNAL, "consumer": Kind.CONSUMER}

    def span(
        self,
        name: str,
        *,
        job: str,
        traceparent: str | None,
        kind: SpanKind,
        start: float,
        end: float,
        attributes: Mapping[str, Value],
        events: Mapping[str, float],
        error: str | None = None,
    ) -> None:
        """One that is over. Times are unix seconds; `events` are names and when; `error`: why it failed."""
        from opentelemetry.trace import Status, StatusCode

        span = self._tracer.start_span(
            name,
            context=_parent(job, traceparent),
            kind=self._kinds[kind],
            attributes={"messaging.system": "nats", "messaging.message.id": job, **attributes},
            start_time=int(start * _NANOSECONDS),
        )
        for event, at in events.items():
            span.add_event(event, timestamp=int(at * _NANOSECONDS))
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(end_time=int(end * _NANOSECONDS))


def _parent(job: str, traceparent: str | None) -> Context:
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

    if traceparent is not None:
        _, trace, span, flags = traceparent.split("-")[:4]
        numbers = int(trace, 16), int(span, 16), int(flags, 16)
    else:
        numbers = trace_of(job), 1, 1
    trace_id, span_id, bits = numbers
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(bits))
    return set_span_in_context(NonRecordingSpan(context))


def trace_of(job: str) -> int:
    """The trace of a job whose caller has none: its id, where that is 32 hexadecimal digits."""
    with suppress(ValueError):
        if len(job) == 32 and (number := int(job, 16)):
            return number
    return int.from_bytes(blake2b(job.encode(), digest_size=16).digest()) or 1


@asynccontextmanager
async def traced(settings: YardSettings, part: str, name: str) -> AsyncGenerator[Tracer | None]:
    """Send spans while the body runs, by OTLP to `OTEL_EXPORTER_OTLP_ENDPOINT`; None: not asked for.

    Raises:
        SettingsError: the extra `tracing` is not installed.
    """
    if not settings.traces:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        reason = "traces need opentelemetry: pip install 'lorayard[tracing]'"
        raise SettingsError(setting="LORAYARD_TRACES", reason=reason) from error
    about = {"service.name": f"lorayard-{part}", "service.instance.id": name}
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=LAST_SECONDS)))
    try:
        yield Tracer(provider)
    finally:
        # It sends what is left; a collector that is away is tried for longer than anybody waits for.
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await in_daemon_thread(provider.shutdown, name="last-spans")
