"""The bus path: no-op jobs through server, dispatcher and two workers, all processes of their own.

The yardstick is the raw pipelined publish rate of one client on the same server in the same minute: a ratio
survives a slow or shared machine, a rate does not. Rounds alternate between the two.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from lorayard import Client, GenerateRequest
from lorayard_cli.bench.bus_sides.service import (
    Service,
    latency_lines,
    measure_quick_yard,
    measure_slow_yard,
    print_rows,
    rows,
)
from lorayard_cli.bench.figures import Spread, as_map, percentile, spread, surroundings
from lorayard_cli.bench.processor_time import microseconds_each, processor_seconds
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.loops import run_service
from lorayard_cli.output import note, out, print_json, table
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.heap import settle_heap
from lorayard_shared.settings import YardSettings
from lorayard_workers.tiny_model import make_tiny_adapter

ROUNDS = 5
PAYLOAD_BYTES = 1024
RAW_WINDOW = 500
"""Publishes in flight: with more the rate was seen to level off."""
LIGHT_JOBS = 200
MUST_RATIO = 0.18
"""A bare prototype, without results and leases, reached 0.23 to 0.31."""
WARM_UP_JOBS = 500
ADAPTERS = tuple(f"acme/tiny/bench-{number}" for number in range(8))
ROWS = 64
SLOTS = 4
"""Half of the adapters fit one worker, so grouping has something to do."""
RAW_STREAM = "BENCH_RAW"
_WITHOUT_AUDIT = {"LORAYARD_AUDIT": "false"}


@dataclass(slots=True)
class Rounds:
    """What was seen, round by round."""

    raw_per_second: list[float] = field(default_factory=list[float])
    jobs_per_second: list[float] = field(default_factory=list[float])
    processor_us: list[dict[str, float]] = field(default_factory=list[dict[str, float]])
    """Of one job, by process."""
    light_ms: list[float] = field(default_factory=list[float])
    service: Service = field(default_factory=Service)

    @property
    def ratios(self) -> list[float]:
        """Jobs over raw publishes, each pair from neighbouring moments."""
        return [jobs / raw for jobs, raw in zip(self.jobs_per_second, self.raw_per_second, strict=True)]


def run(*, jobs: int, as_json: bool, rounds: int = ROUNDS) -> int:
    """Measure, print, and fail when the ratio or a recovery misses its threshold."""
    seen = run_service(_measure(jobs, rounds))
    ratio = spread(seen.ratios)
    document = _document(seen, ratio, jobs)
    if as_json:
        print_json(document)
    else:
        _print(document)
    return ExitCode.OK if ratio.median >= MUST_RATIO and seen.service.holds else ExitCode.FAILED


async def _measure(jobs: int, rounds: int) -> Rounds:
    seen = Rounds()
    async with warm_yard() as yard:
        for number in range(rounds):
            seen.raw_per_second.append(await yard.raw_per_second(jobs))
            before = yard.processor_seconds()
            seen.jobs_per_second.append(await yard.jobs_per_second(jobs))
            seen.processor_us.append(microseconds_each(before, yard.processor_seconds(), jobs))
            note(
                f"round {number + 1}/{rounds}: raw {seen.raw_per_second[-1]:,.0f}/s, "
                f"jobs {seen.jobs_per_second[-1]:,.0f}/s, "
                f"{sum(seen.processor_us[-1].values()):,.0f} us of processor time a job"
            )
        seen.light_ms += await yard.light_load()
        quick = await yard.service()
    seen.service = await measure_slow_yard()
    seen.service.milliseconds = {**quick, **seen.service.milliseconds}
    return seen


class Kept(StrEnum):
    """Which audit records a yard keeps."""

    ALL = "all"
    NO_OUTCOMES = "no_outcomes"
    """Workers do not tell how jobs end."""
    NONE = "none"


@asynccontextmanager
async def warm_yard(
    *, metrics: int | None = None, page: bool = False, kept: Kept = Kept.ALL
) -> AsyncGenerator[WarmYard]:
    """A yard of its own with two workers that do nothing, after its first jobs; with a port it shows metrics
    from there on, with `page` a gateway shows the page."""
    with tempfile.TemporaryDirectory(prefix="lorayard-bench-") as folder:
        plan = replace(_plan(Path(folder)), metrics=metrics)
        if kept is not Kept.ALL:
            plan = replace(plan, worker_environment=_WITHOUT_AUDIT)
        if kept is Kept.NONE:
            plan = replace(plan, environment={**plan.environment, **_WITHOUT_AUDIT})
        if page:
            plan = replace(plan, gateway=0, page="read")
        async with EmbeddedYard(plan) as yard, await connect(yard.settings, name="bench-raw") as bus:
            await _make_raw_stream(bus)
            async with Client(settings=yard.settings) as client:
                warm = WarmYard(client, bus, yard)
                await warm.jobs_per_second(WARM_UP_JOBS)
                settle_heap()  # torch made the adapters: no client of a yard has it
                yield warm


def _plan(folder: Path) -> YardPlan:
    for seed, name in enumerate(ADAPTERS):
        make_tiny_adapter(folder / "adapters" / name / "1", seed=seed, rank=2)
    return YardPlan(
        data=folder / "data",
        engine="echo",
        adapters=folder / "adapters",
        port=0,
        slots=SLOTS,
        rows=ROWS,
        environment={"LORAYARD_ECHO_REPLY": "nothing", "LORAYARD_LOOKAHEAD": str(ROWS)},
    )


async def _make_raw_stream(bus: Bus) -> None:
    # The settings of YARD_JOBS that cost something: on file, with a duplicate window.
    config = {
        "name": RAW_STREAM,
        "subjects": ["bench.raw.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "old",
        "max_msgs": 100_000,
        "duplicate_window": 120_000_000_000,
    }
    await bus.api(f"STREAM.CREATE.{RAW_STREAM}", config)


class WarmYard:
    """What can be asked of a yard that runs."""

    def __init__(self, client: Client, bus: Bus, yard: EmbeddedYard) -> None:
        self._client = client
        self._bus = bus
        self._yard = yard

    @property
    def settings(self) -> YardSettings:
        """For further clients of it."""
        return self._yard.settings

    @property
    def gateway_url(self) -> str:
        """Of the one with the page."""
        assert self._yard.gateway_url is not None, "it was asked for"
        return self._yard.gateway_url

    def processor_seconds(self) -> dict[str, float]:
        """So far, by process."""
        return processor_seconds(self._yard.pids)

    async def raw_per_second(self, count: int) -> float:
        """One client, publishes in flight, message ids set: what the door can take at most."""
        body = b"x" * PAYLOAD_BYTES
        stamp = time.monotonic_ns()
        js = self._bus.nc.jetstream(publish_async_max_pending=RAW_WINDOW)
        started = time.perf_counter()
        for number in range(count):
            await js.publish_async(
                "bench.raw.a", body, headers={"Nats-Msg-Id": f"{stamp}-{number}"}, wait_stall=30.0
            )
        await js.publish_async_completed()
        return count / (time.perf_counter() - started)

    async def jobs_per_second(self, count: int) -> float:
        """From the first publish until the last result is in the client's hands."""
        prompt = "x" * PAYLOAD_BYTES
        requests = [
            GenerateRequest(prompt=prompt, adapter=ADAPTERS[number % len(ADAPTERS)])
            for number in range(count)
        ]
        started = time.perf_counter()
        report = await self._client.submit_many(requests)
        for handle in report.all_handles():
            await handle.result()
        return count / (time.perf_counter() - started)

    async def light_load(self) -> list[float]:
        """One job at a time: the wait that the yard itself adds, in milliseconds."""
        waits: list[float] = []
        for number in range(LIGHT_JOBS):
            started = time.perf_counter()
            await self._client.generate("x" * PAYLOAD_BYTES, adapter=ADAPTERS[number % len(ADAPTERS)])
            waits.append((time.perf_counter() - started) * 1000)
        return waits

    async def service(self) -> dict[str, list[float]]:
        """What a user of the queue feels of a yard at rest, in milliseconds."""
        return await measure_quick_yard(self._bus)


def _document(seen: Rounds, ratio: Spread, jobs: int) -> dict[str, Any]:
    return {
        "bench": "bus",
        "jobs": jobs,
        "payload_bytes": PAYLOAD_BYTES,
        "workers": 2,
        "adapters": len(ADAPTERS),
        "jobs_per_second": as_map(spread(seen.jobs_per_second), 0),
        "raw_publishes_per_second": as_map(spread(seen.raw_per_second), 0),
        "processor_us_per_job": _by_process(seen.processor_us),
        "ratio": {**as_map(ratio), "must": MUST_RATIO, "holds": ratio.median >= MUST_RATIO},
        "light_load_ms": {
            "p50": round(percentile(seen.light_ms, 0.5), 2),
            "p99": round(percentile(seen.light_ms, 0.99), 2),
        },
        **rows(seen.service),
        **surroundings(),
    }


def _by_process(rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Median and range of each process, and of all of them."""
    each = {name: [one[name] for one in rounds] for name in rounds[0]}
    if each:
        each["all"] = [sum(one.values()) for one in rounds]
    return {name: as_map(spread(values), 0) for name, values in each.items()}


def _print(document: dict[str, Any]) -> None:
    figures = table("figure", "median", "low", "high", right=("median", "low", "high"))
    for name, title in (
        ("jobs_per_second", "jobs/s, end to end"),
        ("raw_publishes_per_second", "raw pipelined publishes/s"),
        ("ratio", f"ratio (must {MUST_RATIO})"),
    ):
        figure = document[name]
        figures.add_row(title, *(f"{figure[key]:,}" for key in ("median", "low", "high")))
    for name, figure in document["processor_us_per_job"].items():
        figures.add_row(f"us a job: {name}", *(f"{figure[key]:,}" for key in ("median", "low", "high")))
    print_rows(document, figures)
    out().print(figures)
    light = document["light_load_ms"]
    out().print(f"one job at a time: p50 {light['p50']} ms, p99 {light['p99']} ms")
    for line in latency_lines(document):
        out().print(line)
