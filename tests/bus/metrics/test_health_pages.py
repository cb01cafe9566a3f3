"""A process that lives and hears nothing says so at `/readyz`; nobody shall end it, says `/healthz` (F4)."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import RunningServer, Yard

from lorayard_cli.exporter.process import run_exporter
from lorayard_gateway.process import run_gateway
from lorayard_gateway.settings import GatewaySettings

pytestmark = pytest.mark.bus

Wait = Callable[..., Awaitable[None]]


def asked(port: int, path: str) -> tuple[int, list[str]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.status, json.loads(answer.read())["missing"]
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["missing"]


@pytest.fixture
async def exporter(own_yard: Yard, metrics_port: Callable[[], int]) -> AsyncIterator[int]:
    """The port of one that runs."""
    stop, port = asyncio.Event(), metrics_port()
    settings = own_yard.settings.model_copy(update={"metrics_port": port})
    task = asyncio.create_task(run_exporter(settings, stop=stop))
    yield port
    stop.set()
    await task


@pytest.fixture
async def gateway(own_yard: Yard, metrics_port: Callable[[], int], tmp_path: Path) -> AsyncIterator[int]:
    """The port of its metrics."""
    stop, port = asyncio.Event(), metrics_port()
    settings = GatewaySettings(
        url=own_yard.settings.url,
        prefix=own_yard.settings.prefix,
        metrics_port=port,
        gateway_port=0,
        gateway_keys=False,
        gateway_batches_dir=tmp_path / "batches",
    )
    task = asyncio.create_task(run_gateway(settings, stop=stop))
    yield port
    stop.set()
    await task


async def test_a_server_that_stands_still_is_told_by_each_process__f4(
    own_server: RunningServer,
    own_yard: Yard,
    exporter: int,
    gateway: int,
    metrics_port: Callable[[], int],
    wait_until: Wait,
) -> None:
    """It keeps its connections: nothing looks broken but what is waited for."""
    own = {"dispatcher": metrics_port(), "worker": metrics_port()}
    ports = {**own, "exporter": exporter, "gateway": gateway}
    await own_yard.dispatcher(metrics_port=ports["dispatcher"])
    await own_yard.worker(metrics_port=ports["worker"])
    told: dict[str, list[str]] = {}

    async def are(code: int) -> bool:
        answers = {name: await asyncio.to_thread(asked, port, "/readyz") for name, port in ports.items()}
        told.update({name: missing for name, (_, missing) in answers.items()})
        return {status for status, _ in answers.values()} == {code}

    await wait_until(lambda: are(200))
    own_server.pause()
    try:
        await wait_until(lambda: are(503))
        assert any("for jobs, and the server says nothing" in why for why in told["dispatcher"])
        for name in ("worker", "gateway"):
            assert any("does not hear what changes in" in why for why in told[name])
        assert told["exporter"] == ["the bus does not answer"]
        for port in ports.values():
            assert await asyncio.to_thread(asked, port, "/healthz") == (200, [])
    finally:
        own_server.go_on()
    await wait_until(lambda: are(200))
