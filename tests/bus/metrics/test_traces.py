"""One job is followed from publish to its text by spans, where somebody asks for them (F4)."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.bus.conftest import ADAPTER, Yard

from lorayard import Client, JobFailedError
from lorayard_shared.tracing.tracer import trace_of
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind

pytestmark = pytest.mark.bus

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


class Collector:
    """Takes spans as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, start: str) -> Span:
        (found,) = [span for span in self.spans if span.name.startswith(start)]
        return found


def told(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield collector
    server.shutdown()
    server.server_close()


async def test_spans_of_a_job_are_children_of_its_callers__f4(
    yard: Yard, adapters: Path, collector: Collector
) -> None:
    await yard.dispatcher(traces=True)
    await yard.worker(traces=True, adapters_dir=adapters)
    async with Client(settings=yard.settings, tenant="acme") as client:
        result = await client.generate(
            "one two", adapter=ADAPTER, traceparent=f"00-{TRACE}-{PARENT}-01", correlation_id="order-17"
        )
    await yard.stop()  # the last spans are sent
    assign, attempt = collector.named("assign"), collector.named("text_completion")
    for span in (assign, attempt):
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        attributes = told(span)
        assert attributes["messaging.message.id"] == result.job_id
        assert attributes["lorayard.tenant"] == "acme"
        assert attributes["messaging.message.conversation_id"] == "order-17"
        assert attributes["lorayard.adapter"] == ADAPTER
        assert attributes["lorayard.worker"] == "w1"
        assert str(attributes["lorayard.adapter.digest"]).startswith("sha256:")
    assert [event.name for event in attempt.events][-2:] == ["prefill", "decode"]
    times = [attempt.start_time_unix_nano, *(event.time_unix_nano for event in attempt.events)]
    assert times == sorted(times)
    assert attempt.end_time_unix_nano >= times[-1]
    assert told(attempt)["gen_ai.usage.output_tokens"] == result.usage.completion_tokens
    assert "one two" not in str(collector.requests), "no prompt, and no answer"


async def test_a_job_without_a_trace_is_in_one_of_its_own_and_failures_are_errors__f4(
    yard: Yard, collector: Collector
) -> None:
    broken = Failed(request_id="", kind=FailureKind.RETRYABLE, code="engine_error", message="broken")
    await yard.dispatcher(traces=True)
    engine = EchoEngine(script=lambda _: Scripted(outcome=broken))
    await yard.worker(engine=engine, traces=True, max_attempts=2, retry_base_seconds=0.1)
    with structlog.testing.capture_logs() as logs:
        async with Client(settings=yard.settings, tenant="acme") as client:
            with pytest.raises(JobFailedError) as failed:
                await client.generate("x")
        await yard.stop()
    attempts = [span for span in collector.spans if span.name.startswith("text_completion")]
    assert [told(span)["error.type"] for span in attempts] == ["engine_error", "engine_error"]
    assert sorted(int(told(span)["lorayard.attempt"]) for span in attempts) == [1, 2]
    assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in attempts), "from arrival on"
    (trace,) = {span.trace_id.hex() for span in collector.spans}
    assert trace == failed.value.job_id
    (again,) = [log for log in logs if log["event"] == "job_retried"]
    assert again["job"] == failed.value.job_id
    assert (again["tenant"], again["adapter"], again["digest"]) == ("acme", None, None)


async def test_a_trace_that_is_not_sampled_is_left_out__f4(yard: Yard, collector: Collector) -> None:
    await yard.dispatcher(traces=True)
    await yard.worker(traces=True)
    async with Client(settings=yard.settings, tenant="acme") as client:
        await client.generate("x", traceparent=f"00-{TRACE}-{PARENT}-00")
    await yard.stop()
    assert collector.spans == []


async def test_a_collector_that_is_away_delays_nobody__g2(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    await yard.dispatcher(traces=True)
    await yard.worker(traces=True)
    async with Client(settings=yard.settings, tenant="acme") as client:
        assert (await client.generate("x")).text == "x"
    await yard.stop()


def test_nothing_of_it_is_imported_unless_asked_for() -> None:
    code = (
        "import sys\n"
        "import lorayard, lorayard_dispatcher.app, lorayard_workers.app, lorayard_gateway.process\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"opentelemetry", "prometheus_client"}.intersection(done.stdout.split())


def test_any_job_id_makes_a_trace() -> None:
    assert f"{trace_of('01a2075a40dbfb7579064663b31aef93'):032x}" == "01a2075a40dbfb7579064663b31aef93"
    for odd in ("x", "0" * 32, "z" * 32, "_" * 64):
        assert 0 < trace_of(odd) < 1 << 128
