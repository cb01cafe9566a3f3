"""How true and how soon: depths beside the stream's own, and from kill -9 of a worker to lost on the page."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise

from lorayard import Client, GenerateRequest
from lorayard_cli.bench.view_sides.page_watch import PageWatch
from lorayard_cli.output import note
from lorayard_shared.bus.connection import Bus
from lorayard_shared.process import end_tasks
from lorayard_shared.settings import YardSettings

LAG_SECONDS = 1.0
"""A depth that moves is shown as it was at some moment of the last second."""

GAP_SECONDS = 0.02
"""Between two samples of the stream."""

LOOK_SECONDS = 0.2
BATCH = 200
WAIT_SECONDS = 60.0
LATER = 7
"""Jobs for later, that the delayed ones are counted by."""

VICTIM = "victim"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The stream at some moment between two (monotonic seconds)."""

    asked: float
    answered: float
    published: int
    """Jobs since the stream was made."""
    removed: int
    """Of those."""

    @property
    def depth(self) -> int:
        """Jobs that it had."""
        return self.published - self.removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Depths that were shown."""

    looks: int
    """By `client.snapshot()`, while jobs came and went."""
    right: int
    """Of those, that the stream had within the last second."""
    told: int
    """By the page, meanwhile."""
    told_right: int
    at_rest: bool
    """Whether snapshot and page are exact when nothing moves."""

    @property
    def holds(self) -> bool:
        """Whether all are right."""
        return self.at_rest and self.right == self.looks and self.told_right == self.told > 0


async def shown_beside_stream(client: Client, bus: Bus, page: PageWatch, looks: int) -> Truth:
    """Depths under load, and at rest."""
    samples: list[Sample] = []
    shown: list[tuple[float, float, int]] = []
    sampling = asyncio.create_task(_sample(bus, samples), name="bench-samples")
    loading = asyncio.create_task(_load(client), name="bench-load")
    try:
        await asyncio.sleep(LAG_SECONDS)
        begun = time.monotonic()
        for _ in range(looks):
            asked = time.monotonic()
            depth = (await client.snapshot(parts=["queues"])).overview.unfinished
            shown.append((asked, time.monotonic(), depth))
            await asyncio.sleep(LOOK_SECONDS)
        told = [(at, at, depth) for at, depth in page.depths if at >= begun]
        await asyncio.sleep(LOOK_SECONDS)  # a sample behind the last one is in
    finally:
        await end_tasks([loading, sampling])
    return Truth(
        looks=len(shown),
        right=sum(_was_so(*one, samples) for one in shown),
        told=len(told),
        told_right=sum(_was_so(*one, samples) for one in told),
        at_rest=await _exact_at_rest(client, bus, page),
    )


def _was_so(asked: float, answered: float, depth: int, samples: Sequence[Sample]) -> bool:
    """Whether the stream had as many within the last second, as far as samples can tell.

    Both counts only grow: between two samples the depth was between what they leave open.
    """
    return any(
        before.published - after.removed <= depth <= after.published - before.removed
        for before, after in pairwise(samples)
        if after.answered >= asked - LAG_SECONDS and before.asked <= answered
    )


async def _exact_at_rest(client: Client, bus: Bus, page: PageWatch) -> bool:
    await _until_still(bus)
    handles = (await client.submit_many([GenerateRequest("later", delay_seconds=3600)] * LATER)).all_handles()
    rest = (await client.snapshot(older_seconds=0.0)).overview
    there = await _sampled(bus)
    for handle in handles:
        await handle.cancel()
    await until(lambda: page.depths[-1][1] == there.depth)
    exact = (rest.unfinished, rest.delayed) == (there.depth, LATER)
    if not exact:
        note(f"at rest: {rest.unfinished} and {rest.delayed} of {there.depth} and {LATER} are shown")
    return exact


async def _until_still(bus: Bus) -> None:
    """What was submitted last has come, and is done."""
    before = await _sampled(bus)
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            await asyncio.sleep(LAG_SECONDS)
            now = await _sampled(bus)
            if now.depth == 0 and now.published == before.published:
                return
            before = now


async def seconds_to_lost(page: PageWatch, settings: YardSettings) -> float:
    """From kill -9 of a worker until the page shows it as lost."""
    async with _worker(settings) as process:
        await until(lambda: page.is_lost(VICTIM) is False)
        process.send_signal(signal.SIGKILL)
        began = time.monotonic()
        await until(lambda: page.is_lost(VICTIM) is True)
        return time.monotonic() - began


async def until(so: Callable[[], bool]) -> None:
    """Wait for it."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not so():  # noqa: ASYNC110  # what is read sets no event
            await asyncio.sleep(GAP_SECONDS)


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
        await client.wait(handles[: BATCH // 2], timeout_seconds=WAIT_SECONDS)


async def _sample(bus: Bus, samples: list[Sample]) -> None:
    while True:
        samples.append(await _sampled(bus))
        await asyncio.sleep(GAP_SECONDS)


async def _sampled(bus: Bus) -> Sample:
    asked = time.monotonic()
    state = (await bus.api(f"STREAM.INFO.{bus.subjects.stream('jobs')}"))["state"]
    last = int(state["last_seq"])
    return Sample(
        asked=asked,
        answered=time.monotonic(),
        published=last,
        removed=last - int(state["messages"]),
    )
