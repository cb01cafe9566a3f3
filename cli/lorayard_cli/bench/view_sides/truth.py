"""How true and how soon: depths beside the stream's own, and from kill -9 of a worker to lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

from lorayard import Client, GenerateRequest
from lorayard_schemas.snapshot import YardSnapshot
from lorayard_shared.bus.connection import Bus
from lorayard_shared.process import end_tasks
from lorayard_shared.settings import YardSettings

LAG_SECONDS = 1.0
"""A depth that moves is shown as it was at some moment of the last second."""

GAP_SECONDS = 0.02
BATCH = 200
LOST_LIMIT_SECONDS = 30.0
START_SECONDS = 60.0
VICTIM = "victim"


async def shown_beside_stream(client: Client, bus: Bus, looks: int) -> tuple[int, bool]:
    """Looks under load whose depth the stream had within the last second; and whether it is exact at rest."""
    seen: list[tuple[float, int]] = []
    sampling = asyncio.create_task(_sample(bus, seen), name="bench-samples")
    loading = asyncio.create_task(_load(client), name="bench-load")
    right = 0
    try:
        await asyncio.sleep(LAG_SECONDS)
        for _ in range(looks):
            began = time.monotonic()
            shown = (await client.snapshot(parts=["queues"])).overview.unfinished
            await asyncio.sleep(2 * GAP_SECONDS)  # the samples around it are in
            around = [depth for at, depth in seen if at >= began - LAG_SECONDS - 2 * GAP_SECONDS]
            right += min(around) <= shown <= max(around)
            await asyncio.sleep(0.2)
    finally:
        await end_tasks([loading, sampling])
    while await _depth(bus):  # noqa: ASYNC110  # the server is polled
        await asyncio.sleep(0.1)
    handles = (await client.submit_many([GenerateRequest("later", delay_seconds=3600)] * 7)).all_handles()
    rest = (await client.snapshot(older_seconds=0.0)).overview
    for handle in handles:
        await handle.cancel()
    return right, (rest.unfinished, rest.delayed) == (0, 7)


async def seconds_to_lost(client: Client, settings: YardSettings) -> float:
    """From kill -9 of a worker until it is shown as lost."""
    async with _worker(settings) as process:
        await _until(client, lambda shown: _victim_is_lost(shown) is False)
        process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        await _until(client, lambda shown: _victim_is_lost(shown) is True)
        return time.monotonic() - began


def _victim_is_lost(shown: YardSnapshot) -> bool | None:
    """None: it was never there."""
    return next((one.lost for one in shown.workers if one.worker == VICTIM), None)


async def _until(client: Client, so: Callable[[YardSnapshot], bool]) -> None:
    async with asyncio.timeout(START_SECONDS):
        while not so(await client.snapshot(parts=["workers"])):  # noqa: ASYNC110  # it is polled
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _worker(settings: YardSettings) -> AsyncGenerator[asyncio.subprocess.Process]:
    environment = {**os.environ, "LORAYARD_URL": settings.url, "LORAYARD_PREFIX": settings.prefix}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lorayard_cli",
        "worker",
        f"--name={VICTIM}",
        "--engine=echo",
        "--log-level=error",
        env=environment,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _load(client: Client) -> None:
    while True:
        handles = (await client.submit_many([GenerateRequest("hello")] * BATCH)).all_handles()
        await client.wait(handles[: BATCH // 2], timeout_seconds=LOST_LIMIT_SECONDS)


async def _sample(bus: Bus, seen: list[tuple[float, int]]) -> None:
    while True:
        depth = await _depth(bus)
        seen.append((time.monotonic(), depth))
        await asyncio.sleep(GAP_SECONDS)


async def _depth(bus: Bus) -> int:
    info = await bus.api(f"STREAM.INFO.{bus.subjects.stream('jobs')}")
    return int(info["state"]["messages"])
