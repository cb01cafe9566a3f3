"""Each process shows what it does at `/metrics`, and only where it is told to (F1)."""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, Yard
from tests.bus.metrics.conftest import Scrape

from lorayard import Client, JobFailedError
from lorayard_shared.errors import SettingsError
from lorayard_shared.metrics.declared import DECLARED
from lorayard_shared.metrics.metric import Kind, Source
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
Ports = Callable[[], int]
Scrapes = Callable[[int], Awaitable[Scrape]]

ON_DEMAND = {
    "lorayard_dispatcher_cold_jobs_total",
    "lorayard_dispatcher_parked_jobs",
    "lorayard_dispatcher_parked_oldest_seconds",
    "lorayard_dispatcher_returned_jobs_total",
    "lorayard_worker_errors_total",
    "lorayard_worker_load_seconds",
    "lorayard_worker_step_seconds",
    "lorayard_worker_step_tokens_total",
}
"""Shown once there is something to show, which the echo engine may not give."""


def missing(page: Scrape, source: Source) -> set[str]:
    """Names that are declared for a process and not on its page."""
    wanted = {
        metric.name + ("_count" if metric.kind is Kind.HISTOGRAM else "")
        for metric in DECLARED
        if metric.source in (source, Source.EVERY) and metric.name not in ON_DEMAND
    }
    return wanted - page.names


async def test_jobs_show_at_dispatcher_and_worker__f1(
    yard: Yard, adapters: Path, metrics_port: Ports, scrape: Scrapes, wait_until: WaitUntil
) -> None:
    at_dispatcher, at_worker = metrics_port(), metrics_port()
    await yard.dispatcher(metrics_port=at_dispatcher)
    await yard.worker(metrics_port=at_worker, adapters_dir=adapters)
    async with Client(settings=yard.settings, tenant="acme") as client:
        for number in range(5):
            await client.generate(f"one two {number}", adapter=ADAPTER)
        await client.generate("base")

    async def counted() -> bool:  # a result may be heard before its worker has counted it
        return (await scrape(at_worker))("lorayard_worker_requests_total") == 6

    await wait_until(counted)
    worker = await scrape(at_worker)
    assert worker("lorayard_worker_requests_total", adapter=ADAPTER, version="1", outcome="succeeded") == 5
    assert worker("lorayard_worker_requests_total", adapter="base", outcome="succeeded") == 1
    assert worker("lorayard_worker_request_seconds_count", adapter=ADAPTER) == 5
    assert worker("lorayard_worker_starts_total", adapter=ADAPTER) == 5
    assert worker("lorayard_worker_starts_total", adapter=ADAPTER, tier="slot") >= 3
    assert worker("lorayard_worker_adapter_rows_total") == 5
    assert not missing(worker, Source.WORKER)
    dispatcher = await scrape(at_dispatcher)
    assert dispatcher("lorayard_dispatcher_jobs_total", adapter=ADAPTER, version="1") == 5
    assert dispatcher("lorayard_dispatcher_decisions_total") == 6
    assert dispatcher("lorayard_dispatcher_wait_seconds_count", lane="normal") == 6
    assert dispatcher("lorayard_dispatcher_tenant_jobs_total", tenant="acme") == 6
    assert dispatcher("lorayard_dispatcher_adapter_replicas", adapter=ADAPTER) == 1
    assert dispatcher("lorayard_dispatcher_active") == 1
    assert not missing(dispatcher, Source.DISPATCHER)


async def test_what_waits_shows_with_its_age_and_cause_and_whether_it_is_overdue__f1(
    yard: Yard, metrics_port: Ports, scrape: Scrapes, wait_until: WaitUntil
) -> None:
    port = metrics_port()
    await yard.dispatcher(metrics_port=port, wait_bound_seconds=(4.0, 8.0, 15.0, 0.1))
    await yard.worker(rows=1, lookahead=0, echo_delay_seconds=3600.0, drain_seconds=0.0)
    async with Client(settings=yard.settings, tenant="acme") as client:
        for _ in range(4):
            await client.submit("x", lane="bulk")

        async def waits() -> bool:
            page = await scrape(port)
            return (
                page("lorayard_dispatcher_parked_jobs", adapter="base", lane="bulk") == 3
                and page("lorayard_dispatcher_parked_oldest_seconds", lane="bulk") > 0
                and page("lorayard_dispatcher_waited_job_seconds_total", cause="worker") > 0
                and page("lorayard_dispatcher_overdue_jobs", lane="bulk") == 3
                and page("lorayard_dispatcher_backlog_seconds", lane="bulk") == 12.0  # of 4 s each
            )

        await wait_until(waits)
        await client.submit("x", deadline_seconds=3.9)  # too late for its deadline, not for its lane

        async def presses() -> bool:
            return (await scrape(port))("lorayard_dispatcher_overdue_jobs", lane="normal") == 1

        await wait_until(presses)


async def test_failures_show_by_code_and_retries_apart__f1(
    yard: Yard, metrics_port: Ports, scrape: Scrapes, wait_until: WaitUntil
) -> None:
    port = metrics_port()
    broken = Failed(request_id="", kind=FailureKind.RETRYABLE, code="engine_error", message="broken")
    await yard.dispatcher()
    await yard.worker(
        engine=EchoEngine(script=lambda _: Scripted(outcome=broken)),
        metrics_port=port,
        max_attempts=2,
        retry_base_seconds=0.1,
    )
    async with Client(settings=yard.settings, tenant="acme") as client:
        with pytest.raises(JobFailedError):
            await client.generate("x")

    async def failed() -> bool:
        return (await scrape(port))("lorayard_worker_requests_total", outcome="failed") == 1

    await wait_until(failed)
    page = await scrape(port)
    assert page("lorayard_worker_requests_total", outcome="retried") == 1
    assert page("lorayard_worker_errors_total", code="engine_error") == 2


async def test_without_a_port_nothing_listens(yard: Yard) -> None:
    def listening() -> int:
        return [thread.name for thread in threading.enumerate()].count("metrics")

    before = listening()
    await yard.dispatcher()
    assert listening() <= before


async def test_a_port_that_is_taken_refuses_to_start__g3(yard: Yard, metrics_port: Ports) -> None:
    port = metrics_port()
    await yard.dispatcher(metrics_port=port)
    with pytest.raises(SettingsError, match=f"LORAYARD_METRICS_PORT.*{port}"):
        await yard.worker(metrics_port=port)


async def test_other_paths_and_verbs_get_nothing(yard: Yard, metrics_port: Ports) -> None:
    port = metrics_port()
    await yard.dispatcher(metrics_port=port)

    def ask(path: str, verb: str) -> int:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=verb)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    assert await asyncio.to_thread(ask, "/metrics", "GET") == 200
    assert await asyncio.to_thread(ask, "/metrics", "HEAD") == 200
    assert await asyncio.to_thread(ask, "/etc/passwd", "GET") == 404
    assert await asyncio.to_thread(ask, "/metrics", "POST") == 405


async def test_a_blocked_loop_shows_as_one(yard: Yard, metrics_port: Ports, scrape: Scrapes) -> None:
    """What hangs still says so: a scrape that timed out would say that the machine is gone."""
    port = metrics_port()
    await yard.dispatcher(metrics_port=port)

    def read() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as page:
            return str(page.read().decode())

    with ThreadPoolExecutor(max_workers=1) as pool:
        page = Scrape(pool.submit(read).result())  # until then this loop is blocked, which is what is tested
    assert page("lorayard_process_answers") == 0
    assert (await scrape(port))("lorayard_process_answers") == 1
