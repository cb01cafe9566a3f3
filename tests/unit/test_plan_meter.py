"""What a dispatcher counts of its plans: waits by adapter and tenant, the cost of loads, a backlog (F1)."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.conftest import make_taken

from lorayard_dispatcher.parked_job import ParkedJob
from lorayard_dispatcher.plan_meter import PlanMeter
from lorayard_dispatcher.planning.values import Decision, Phase, Source, WaitingJob
from lorayard_dispatcher.service_pace import HALF_LIFE_SECONDS, ServicePace
from lorayard_schemas.assignment import AdapterRef
from lorayard_shared.metrics.exposition import render
from lorayard_shared.metrics.readings import Readings


def parked(tenant: str, adapter: str = "a") -> ParkedJob:
    taken = make_taken("k", tenant=tenant, enqueued_at=100.0)
    waiting = WaitingJob(key="k", group="", tenant=tenant, priority=2, enqueued_at=100.0)
    ref = AdapterRef(name=adapter, version="1", digest="sha256:" + "ab" * 32)
    return ParkedJob(taken=taken, waiting=waiting, adapter=ref, rule="explicit")


def decision(phase: Phase = Phase.WARM, source: Source = Source.SLOT, cost: float = 0.0) -> Decision:
    return Decision(job="k", group="", worker="w1", phase=phase, source=source, cost_seconds=cost)


def shown(meter: PlanMeter, name: str, **labels: str) -> float:
    """The sum of all that has these labels."""
    readings = Readings()
    meter.read(readings)
    return sum(
        sample.value
        for family in text_string_to_metric_families(render(readings))
        for sample in family.samples
        if sample.name == f"lorayard_dispatcher_{name}" and labels.items() <= sample.labels.items()
    )


def test_waits_are_told_by_adapter_and_by_tenant__f1() -> None:
    meter = PlanMeter(10, 10)
    meter.decided(decision(), parked("acme", "a"), 103.0)
    meter.decided(decision(), parked("acme", "b"), 105.0)
    meter.decided(decision(), parked("globex", "b"), 99.0)  # a clock was set: nobody waits backwards
    assert shown(meter, "adapter_waited_seconds_total", adapter="b", version="1") == 5.0
    assert shown(meter, "tenant_waited_seconds_total", tenant="acme") == 8.0
    assert shown(meter, "tenant_jobs_total", tenant="acme") == 2
    assert shown(meter, "tenant_waited_seconds_total", tenant="globex") == 0.0


@pytest.mark.parametrize("most", [0, 2])
def test_tenants_past_the_bound_are_one__f1(most: int) -> None:
    meter = PlanMeter(10, most)
    for number in range(100):
        meter.decided(decision(), parked(f"t{number}"), 101.0)
    assert shown(meter, "tenant_jobs_total", tenant="other") == 100 - most
    assert shown(meter, "tenant_jobs_total") == 100


def test_what_loads_cost_is_told_by_what_decided__f1() -> None:
    meter = PlanMeter(10, 10)
    meter.decided(decision(), parked("t"), 101.0)
    meter.decided(decision(Phase.OVERDUE, Source.DISK, 0.5), parked("t"), 101.0)
    meter.decided(decision(Phase.OVERDUE, Source.SLOT, 9.0), parked("t"), 101.0)  # it was there
    meter.decided(decision(Phase.LOAD, Source.HOST, 0.25), parked("t"), 101.0)
    assert shown(meter, "load_seconds_total", phase="overdue") == 0.5
    assert shown(meter, "load_seconds_total", phase="load") == 0.25


def test_a_service_takes_as_long_as_jobs_were_at_workers__f5() -> None:
    pace = ServicePace(4.0)
    assert pace.seconds == 4.0
    pace.look(1.0, in_flight=1, handed=1)
    assert pace.seconds == 4.0, "one job tells nothing yet"
    for second in range(1, 121):  # two a second are handed over, six are at workers: 3 s each
        pace.look(1.0, in_flight=6, handed=2 * second)
    assert pace.seconds == pytest.approx(3.0, rel=0.02)
    for second in range(121, 121 + int(4 * HALF_LIFE_SECONDS)):  # then they take 1.5 s
        pace.look(1.0, in_flight=3, handed=2 * second)
    assert pace.seconds == pytest.approx(1.5, rel=0.1)
