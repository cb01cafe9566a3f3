"""A gateway counts its requests, and every child of `lorayard up` has a page of its own (F1)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from lorayard_cli.embedded.plan import metrics_port
from lorayard_gateway.metering import HttpMeter
from lorayard_shared.bus.connection import Bus
from lorayard_shared.metrics.exposition import render
from lorayard_shared.metrics.readings import Readings


def test_requests_show_by_route_and_status_however_many_models_are_asked_for__f1() -> None:
    meter = HttpMeter()
    for number in range(100):
        meter.answered(f"/v1/models/acme/m/{number}", 404, 0.001)
    meter.answered("/v1/chat/completions", 200, 0.2)
    readings = Readings()
    meter.page(cast("Bus", SimpleNamespace(name="gateway"))).read(readings)
    text = render(readings)
    assert 'requests_total{path="/v1/models/{model}",status="404"} 100' in text
    assert 'requests_total{path="/v1/chat/completions",status="200"} 1' in text
    assert 'request_seconds_bucket{path="/v1/chat/completions",le="0.5"} 1' in text
    assert "acme" not in text


def test_no_two_children_share_a_port__f1() -> None:
    dispatchers = ["dispatcher", *(f"dispatcher-{number}" for number in range(2, 65))]
    names = ["exporter", "gateway", *dispatchers, *(f"w{number}" for number in range(1, 200))]
    ports = [metrics_port(9464, name) for name in names]
    assert len(set(ports)) == len(ports)
    assert (ports[0], ports[1], ports[2], metrics_port(9464, "w1")) == (9464, 9465, 9474, 9564)
