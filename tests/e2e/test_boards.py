"""Every panel of every board shows something in a real Prometheus while a yard works (F3)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.conftest import START_SECONDS

from lorayard import Client, GenerateRequest, Lane, LorayardError
from lorayard.settings import client_settings
from lorayard_cli.embedded.plan import YardPlan, metrics_port
from lorayard_cli.embedded.provisions import TINY_ADAPTERS
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_cli.monitoring.alert import rules_file
from lorayard_cli.monitoring.alerts import ALERTS
from lorayard_cli.monitoring.boards.all import BOARDS
from lorayard_cli.monitoring.boards.board import Variable
from lorayard_shared.metrics.declared import REQUESTS
from lorayard_shared.process import end_tasks
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
PROMETHEUS = shutil.which("prometheus") or shutil.which(ROOT / ".promtool" / "usr" / "bin" / "prometheus")

CHILDREN = {"exporter": "exporter", "gateway": "gateway", "dispatcher": "dispatcher", "w1": "worker"}
"""And the job under which each is scraped."""

WITH_FAULTS_ONLY = {
    "Not taken by a worker": "a worker refuses a job only where its dispatcher's view was wrong"
}

MORE = ("acme/tiny/d", "acme/tiny/e", "acme/tiny/f")
ADAPTERS = (*TINY_ADAPTERS, *MORE)

SHORT = {
    "LORAYARD_CONTEXT_TOKENS": "256",
    "LORAYARD_HOST_BYTES": str(2**20),  # of two adapters: the others are read from disk again
    "LORAYARD_PREWARM_COPIES": "0",
    "LORAYARD_EARLY_READS": "8",
}
"""Of everything: what a large yard meets in a day is to happen in seconds."""

TOO_LONG = "far too long " * 200
SHARED = "the quick brown fox jumps over the lazy dog, and " * 2


@contextmanager
def free_base() -> Generator[int]:
    """A port from which all those of the children are free."""
    for base in range(20_000, 30_000, 500):
        ports = [metrics_port(base, child) for child in CHILDREN]
        try:
            for port in ports:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        yield base
        return
    pytest.fail("no ports are free")


def configuration(folder: Path, base: int) -> Path:
    """Each second, with rules that wait for nothing; Prometheus reads JSON as YAML."""
    rules = folder / "rules.yaml"
    rules.write_text(rules_file(replace(alert, lasting="0s") for alert in ALERTS), encoding="utf-8")
    jobs = [
        {
            "job_name": job,
            "static_configs": [
                {"targets": [f"127.0.0.1:{metrics_port(base, child)}"], "labels": {"yard": "yard"}}
            ],
        }
        for child, job in CHILDREN.items()
    ]
    config = folder / "prometheus.json"
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    document = {"global": every, "rule_files": [str(rules)], "scrape_configs": jobs}
    config.write_text(json.dumps(document), encoding="utf-8")
    return config


@contextmanager
def prometheus(folder: Path, config: Path) -> Generator[str]:
    """A server on loopback; its address."""
    assert PROMETHEUS is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [
        PROMETHEUS,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]
    with (
        (folder / "prometheus.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as run,
    ):
        try:
            yield f"http://{address}"
        finally:
            run.terminate()


async def _work(yard: EmbeddedYard, tenant: str, lane: Lane) -> None:
    """Jobs of every adapter, more than there are rows for; some fail."""
    adapters = [*ADAPTERS, None]
    settings = client_settings(yard.settings).model_copy(update={"tenant": tenant})
    async with Client(settings=settings) as client:
        while True:
            report = await client.submit_many(
                [
                    GenerateRequest(
                        prompt=TOO_LONG if number == 7 else f"{SHARED}{number}",
                        adapter=adapters[number % len(adapters)],
                        lane=lane,
                        max_new_tokens=48,
                    )
                    for number in range(16)
                ]
            )
            await asyncio.gather(*(handle.outcome() for handle in report.all_handles()))


async def _one_of_each(yard: EmbeddedYard) -> None:
    """While nothing else is asked for: nobody has staged its adapter, and each waits for the disk."""
    async with Client(settings=client_settings(yard.settings)) as client:
        for adapter in ADAPTERS:
            await client.generate("x", adapter=adapter, max_new_tokens=1)


async def _ask_too_much(yard: EmbeddedYard) -> None:
    """A tenant over its quota."""
    settings = client_settings(yard.settings).model_copy(update={"tenant": "greedy"})
    async with Client(settings=settings) as client:
        await client.limits.set(tenant="greedy", requests_per_day=1, reason="a test")
        while True:
            with contextlib.suppress(LorayardError):
                await client.generate("x", max_new_tokens=1)
            await asyncio.sleep(0.2)


async def _browse(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        while True:
            await http.get("/v1/models")
            await asyncio.sleep(0.2)


@asynccontextmanager
async def loaded(yard: EmbeddedYard) -> AsyncGenerator[list[asyncio.Task[None]]]:
    assert yard.gateway_url is not None
    works = (
        _work(yard, "acme", Lane.BULK),
        _work(yard, "other", Lane.NORMAL),
        _ask_too_much(yard),
        _browse(yard.gateway_url),
    )
    tasks = [asyncio.create_task(work, name="load") for work in works]
    try:
        yield tasks
    finally:
        await end_tasks(tasks)


class Board:
    """What Grafana would ask, of one Prometheus."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = f"{url}/api/v1"
        self.chosen = dict[str, str]()

    async def scrapes(self, targets: int) -> bool:
        """Whether Prometheus listens, and reads all of them."""
        with contextlib.suppress(httpx.TransportError):
            return len(await self.ask("up == 1")) == targets
        return False

    async def counts(self, adapters: int) -> bool:
        """Whether so many have ended a job."""
        return len(await self.ask(f"sum by (adapter) ({REQUESTS.name})")) == adapters

    async def choose(self, variable: Variable) -> bool:
        """All values of a variable, as Grafana would list and join them."""
        if variable.pattern:
            found = [
                match["value"]
                for row in await self.ask(self.filled(variable.query[len("query_result(") : -1]))
                if (match := self._matched(variable.pattern, row)) is not None
            ]
        else:
            series, _, label = self.filled(variable.query[len("label_values(") : -1]).rpartition(", ")
            answer = await self._http.get(f"{self._url}/label/{label}/values", params={"match[]": series})
            found = answer.json()["data"]
        self.chosen[variable.name] = "|".join(found)
        return bool(found)

    @staticmethod
    def _matched(pattern: str, row: dict[str, Any]) -> re.Match[str] | None:
        told = ", ".join(f'{name}="{value}"' for name, value in sorted(row["metric"].items()))
        return re.search(pattern.strip("/").replace("(?<", "(?P<"), told)

    def filled(self, expr: str) -> str:
        """With what was chosen."""
        values = {"__rate_interval": "60s", "__range": "5m", **self.chosen}
        return re.sub(r"\$(\w+)", lambda found: values[found[1]], expr)

    async def ask(self, expr: str) -> list[dict[str, Any]]:
        """Series that have a number."""
        answer = await self._http.post(f"{self._url}/query", data={"query": self.filled(expr)})
        if answer.status_code == 503:
            return []  # it has only begun
        assert answer.status_code == 200, (expr, answer.text)
        rows: list[dict[str, Any]] = answer.json()["data"]["result"]
        return [row for row in rows if math.isfinite(float(row["value"][1]))]


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not here: `make promtool` fetches it")
async def test_every_panel_shows_something_while_a_yard_works__f3(
    tiny_plan: YardPlan, tmp_path: Path, wait_until: Callable[..., Awaitable[None]]
) -> None:
    assert tiny_plan.adapters is not None
    for seed, name in enumerate(MORE, start=10):
        make_tiny_adapter(tiny_plan.adapters / name / "1", seed=seed)
    asked = {
        f"{board.uid}: {panel.title}: {query.expr}": query.expr
        for board in BOARDS
        for panel in board.panels
        if panel.title not in WITH_FAULTS_ONLY
        for query in panel.queries
    } | {"alerts": 'ALERTS{alertstate="firing",alertname=~"Lorayard.*"}'}
    variables = {variable.name: variable for board in BOARDS for variable in board.variables}
    with free_base() as base:
        plan = replace(
            tiny_plan,
            workers=1,
            slots=1,
            gateway=0,
            metrics=base,
            environment={**tiny_plan.environment, **SHORT},
        )
        async with EmbeddedYard(plan) as yard, httpx.AsyncClient() as http:
            with prometheus(tmp_path, configuration(tmp_path, base)) as url:
                board = Board(http, url)
                await wait_until(lambda: board.scrapes(len(CHILDREN)))
                await _one_of_each(yard)
                async with loaded(yard) as tasks:
                    await wait_until(lambda: board.counts(len(ADAPTERS) + 1))
                    for variable in variables.values():
                        assert await board.choose(variable), variable.name

                    async def all_show() -> bool:
                        for task in tasks:
                            assert not task.done(), task.exception()
                        for name, expr in list(asked.items()):
                            if await board.ask(expr):
                                del asked[name]
                        return not asked

                    try:
                        await wait_until(all_show, seconds=START_SECONDS)
                    except pytest.fail.Exception:
                        pytest.fail("these show nothing:\n" + "\n".join(asked))
