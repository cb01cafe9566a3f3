"""A job is in its caller's trace; of many, each has one that is linked to the caller's (F4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler

from lorayard.calling_context import in_batch, in_context
from lorayard.request import GenerateRequest

REQUEST = GenerateRequest("x", adapter="o/m/a")


class Recording:
    """A program that records its spans."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Sampler = ALWAYS_ON) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBased(root), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = provider.get_tracer("program")
        monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)

    @property
    def created(self) -> tuple[ReadableSpan, ...]:
        spans = self._exporter.get_finished_spans()
        return tuple(span for span in spans if span.name == "create jobs.normal")


def traces(placed: list[GenerateRequest]) -> list[int]:
    return [int(str(each.traceparent).split("-")[1], 16) for each in placed]


def test_a_job_by_itself_is_a_child_of_its_callers_span__f4(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Recording(monkeypatch)
    with program.tracer.start_as_current_span("request") as caller:
        placed = in_context(REQUEST)
    (created,) = program.created
    assert traces([placed]) == [caller.get_span_context().trace_id]
    assert created.parent is not None
    assert created.parent.span_id == caller.get_span_context().span_id


def test_each_of_many_begins_a_trace_that_is_linked_to_its_callers_span__f4(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = Recording(monkeypatch)
    with program.tracer.start_as_current_span("batch") as caller:
        placed = [in_batch(REQUEST) for _ in range(3)]
    around = caller.get_span_context()
    assert len({*traces(placed), around.trace_id}) == 4
    assert [span.context.trace_id for span in program.created if span.context] == traces(placed)
    assert all(span.parent is None for span in program.created)
    for span in program.created:
        assert [link.context.span_id for link in span.links] == [around.span_id]


def test_many_of_a_trace_that_is_left_out_are_left_out__f4(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Recording(monkeypatch, ALWAYS_OFF)
    with program.tracer.start_as_current_span("batch") as caller:
        monkeypatch.undo()
        program = Recording(monkeypatch)
        placed = in_batch(REQUEST)
    assert placed.traceparent is not None
    assert traces([placed]) == [caller.get_span_context().trace_id]
    assert not int(placed.traceparent[-2:], 16) & 1, "not sampled"
    assert program.created == ()


@pytest.mark.parametrize("place", [in_context, in_batch])
def test_who_records_nothing_hands_the_trace_on__f4(
    place: Callable[[GenerateRequest], GenerateRequest],
) -> None:
    context = trace.SpanContext(7, 11, is_remote=True, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(context)):
        placed = place(REQUEST)
    assert placed.traceparent == f"00-{7:032x}-{11:016x}-01"
    assert place(REQUEST).traceparent is None


@pytest.mark.parametrize("place", [in_context, in_batch])
def test_what_is_given_goes_before__f4(
    place: Callable[[GenerateRequest], GenerateRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Recording(monkeypatch)
    given = GenerateRequest("x", traceparent=f"00-{7:032x}-{11:016x}-01")
    assert place(given).traceparent == given.traceparent
    assert program.created == ()
