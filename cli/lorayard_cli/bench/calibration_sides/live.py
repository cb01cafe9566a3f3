"""A real yard: server, dispatcher and workers with the tiny model, and a trace played on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from lorayard import Client, JobHandle, Result
from lorayard_cli.bench.calibration_sides.scenes import Due
from lorayard_cli.bench.calibration_sides.seen import Seen, SeenJob, SeenWorker
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_cli.simulation.cluster import Cluster
from lorayard_schemas.advert import WorkerAdvert
from lorayard_workers.settings import WorkerSettings
from lorayard_workers.tiny_model import make_tiny_adapter

ADAPTERS: Final = 24
RANK: Final = 8
WORKERS: Final = 2
ROWS: Final = 8
SLOTS: Final = 4
HOST_BYTES: Final = 2 << 20
"""Room for about half of the adapters."""
SETTLE_SECONDS: Final = 1.5
"""A worker's advert beats every second: by then the last one holds all counters."""
PROMPT: Final = "Tell me of the yard."


GUESS: Final = Cluster(
    workers=WORKERS,
    rows=ROWS,
    slots=SLOTS,
    host=14,
    adapters=ADAPTERS,
    lookahead=WorkerSettings.model_fields["lookahead"].default,
    step_milliseconds=5.0,
    row_milliseconds=0.4,
    adapter_milliseconds=0.5,
    load_seconds_host=0.0005,
    load_seconds_disk=0.005,
    staging=True,  # as our workers do
)
"""What is known of this yard before it is measured: from it comes how much it is offered while it is."""


def make_adapters(folder: Path) -> tuple[str, ...]:
    """As many folders; returns the adapters' names."""
    names = tuple(f"acme/tiny/task-{number:02}" for number in range(ADAPTERS))
    for seed, name in enumerate(names):
        make_tiny_adapter(folder / name / "1", seed=seed, rank=RANK)
    return names


@asynccontextmanager
async def live_yard(data: Path, adapters: Path) -> AsyncGenerator[Client]:
    """A fresh yard: nothing is in any slot, nor in host memory."""
    plan = YardPlan(
        data=data,
        model="tiny",
        adapters=adapters,
        workers=WORKERS,
        port=0,
        slots=SLOTS,
        rows=ROWS,
        threads=1,
        environment={
            "LORAYARD_MODELS_DIR": str(adapters.parent / "models"),
            "LORAYARD_HOST_BYTES": str(HOST_BYTES),
            "LORAYARD_KV_BYTES": str(64 << 20),
            "LORAYARD_JSON_SCHEMAS": "false",
            "LORAYARD_PREFIX_REUSE": "false",  # the model knows of none
        },
    )
    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings) as client:
        yield client


async def play(client: Client, due: Sequence[Due], names: Sequence[str]) -> Seen:
    """Submit each job at its moment, and wait for all answers."""
    started = time.monotonic()
    handles: list[tuple[float, Due, JobHandle]] = []
    for job in due:
        await asyncio.sleep(started + job.at - time.monotonic())
        at = time.time()
        handle = await client.submit(
            PROMPT, adapter=names[job.adapter], max_new_tokens=job.tokens, ignore_eos=True, template="none"
        )
        handles.append((at, job, handle))
    results = await asyncio.gather(*(handle.result() for _, _, handle in handles))
    await asyncio.sleep(SETTLE_SECONDS)
    adverts = await client.workers()
    jobs = [
        _seen(at, names[job.adapter], result) for (at, job, _), result in zip(handles, results, strict=True)
    ]
    return Seen(jobs=jobs, workers=[_worker(advert) for advert in adverts])


def _seen(at: float, adapter: str, result: Result) -> SeenJob:
    timings, ended = result.timings, result.finished_at
    return SeenJob(
        adapter=adapter,
        submitted_at=at,
        started_at=ended - (timings.total_ms - timings.queued_ms) / 1000,
        ended_at=ended,
        worker=result.worker,
        tokens=result.usage.completion_tokens,
        prompt_tokens=result.usage.prompt_tokens,
    )


def _worker(advert: WorkerAdvert) -> SeenWorker:
    return SeenWorker(
        slot_loads=advert.counters.slot_loads,
        disk_loads=advert.counters.disk_loads,
        load_seconds_host=advert.load_ms_host / 1000,
        load_seconds_disk=advert.load_ms_disk / 1000,
        host_bytes_per_adapter=advert.host_bytes / len(advert.host) if advert.host else 0.0,
    )
