"""What a worker counts of its jobs can be asked for by rates (F1, F2)."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.conftest import BASE_DIGEST

from lorayard_schemas.assignment import AdapterRef, AssignedJob
from lorayard_schemas.job import Lane
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.metrics.exposition import render
from lorayard_shared.metrics.readings import Readings
from lorayard_workers.engine.outcome import (
    Cancelled,
    Failed,
    FailureKind,
    FinishReason,
    Outcome,
    Succeeded,
    Tier,
    Timings,
)
from lorayard_workers.service.held_jobs import HeldJob
from lorayard_workers.service.metering import WorkerMeter

BROKEN = Failed(request_id="j", kind=FailureKind.RETRYABLE, code="engine_error", message="broken")


def held(name: str | None) -> HeldJob:
    adapter = None if name is None else AdapterRef(name=name, version="1", digest=BASE_DIGEST)
    assigned = AssignedJob(key="k", lease="l", subject="s", body=b"", adapter=adapter, waited_ms=20.0)
    return HeldJob(assigned, JobAddress(lane=Lane.NORMAL, tenant="t", adapter=name), "j")


def succeeded(tier: Tier, load_ms: float = 0.0) -> Outcome:
    return Succeeded(
        request_id="j",
        text="",
        finish_reason=FinishReason.STOP,
        prompt_tokens=10,
        completion_tokens=5,
        tier=tier,
        timings=Timings(queued_ms=10.0 + load_ms, load_ms=load_ms, first_token_ms=30.0, total_ms=80.0),
    )


def shown(meter: WorkerMeter, name: str, **labels: str) -> float | None:
    """The sum of all that has these labels; None: there is none."""
    readings = Readings()
    meter.read(readings)
    found = [
        sample.value
        for family in text_string_to_metric_families(render(readings))
        for sample in family.samples
        if sample.name == f"lorayard_worker_{name}" and labels.items() <= sample.labels.items()
    ]
    return sum(found) if found else None


def test_a_job_is_counted_under_its_adapter__f1() -> None:
    meter = WorkerMeter(10)
    for name, outcome in (
        ("o/m/a", succeeded(Tier.SLOT)),
        ("o/m/a", succeeded(Tier.DISK, load_ms=500.0)),
        ("o/m/a", BROKEN),
        ("o/m/b", Cancelled(request_id="j")),
        (None, succeeded(Tier.NONE)),
    ):
        meter.ended(held(name), outcome)
    meter.retried(held("o/m/b"), BROKEN)
    assert shown(meter, "requests_total") == 6
    assert shown(meter, "requests_total", adapter="o/m/a", version="1", outcome="succeeded") == 2
    assert shown(meter, "requests_total", adapter="o/m/b", outcome="retried") == 1
    assert shown(meter, "requests_total", adapter="o/m/b", outcome="cancelled") == 1
    assert shown(meter, "starts_total", adapter="o/m/a", tier="disk") == 1
    assert shown(meter, "starts_total", adapter="base", version="", tier="none") == 1
    assert shown(meter, "request_seconds_count", adapter="o/m/a") == 2
    assert shown(meter, "request_seconds_count", adapter="o/m/b") is None
    assert shown(meter, "completion_tokens_total") == 15
    assert shown(meter, "errors_total", code="engine_error") == 2
    assert shown(meter, "load_seconds_sum", tier="disk") == 0.5
    assert shown(meter, "waited_seconds_total", cause="swap") == 0.5
    assert shown(meter, "waited_seconds_total", cause="row") == pytest.approx(0.03)


def test_what_is_rare_grows_a_series_that_was_there_before__f2() -> None:
    """Prometheus' rate misses the first value of a series: of one born with a failure, that failure."""
    meter = WorkerMeter(10)
    for tier in ("host", "disk"):
        assert shown(meter, "load_seconds_count", tier=tier) == 0
    meter.ended(held("o/m/a"), succeeded(Tier.SLOT))
    assert shown(meter, "requests_total", adapter="o/m/a", outcome="failed") == 0


def test_adapters_beyond_the_bound_are_counted_together__f1() -> None:
    meter = WorkerMeter(2)
    for number in range(100):
        meter.ended(held(f"o/m/{number}"), succeeded(Tier.SLOT))
    meter.ended(held("o/m/0"), succeeded(Tier.SLOT))
    assert shown(meter, "requests_total", adapter="o/m/0", outcome="succeeded") == 2
    assert shown(meter, "requests_total", adapter="other", version="", outcome="succeeded") == 98
