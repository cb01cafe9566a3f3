"""Batches on a live yard: how often adapters swap, and how near a run comes to what its engines can do."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import replace
from pathlib import Path

from lorayard import Client, GenerateRequest
from lorayard.batch import BatchOptions, BatchRunner, Manifest, batch_files, open_batch, read_line
from lorayard.batch.line import Line
from lorayard_cli.bench.batch_sides.lines import write_lines
from lorayard_cli.demo.swaps import swaps_in_arrival_order
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import TINY_ADAPTERS, provide
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_shared.value import value
from lorayard_workers.tiny_model import make_tiny_adapter

ADAPTERS = tuple(f"acme/tiny/bench-{number}" for number in range(16))
SLOTS = 4
ROWS = 8

TELL_SECONDS = 30.0
"""Workers tell each second."""

DOCUMENT_WORDS = 40
DOCUMENT_TOKENS = 32


@value
class SwapsSeen:
    """Loads into a slot over one file."""

    lines: int
    loads: int
    in_file_order: int
    """As many as least recently used slots need for the same lines, dealt out as they come."""

    @property
    def share(self) -> float:
        """Of those in the order of the file."""
        return self.loads / self.in_file_order


@value
class ThroughputSeen:
    """Rounds in pairs, neighbours in time."""

    documents: int
    batch_tokens_per_second: tuple[float, ...]
    ceiling_tokens_per_second: tuple[float, ...]
    """The same requests, published at once and awaited, without files."""

    @property
    def ratio(self) -> float:
        """Median of the pairs."""
        pairs = zip(self.batch_tokens_per_second, self.ceiling_tokens_per_second, strict=True)
        return statistics.median(batch / ceiling for batch, ceiling in pairs)


async def measure_swaps(folder: Path, *, lines: int) -> SwapsSeen:
    """Sixteen adapters shuffled, one worker with four slots and an engine that takes its time."""
    for seed, name in enumerate(ADAPTERS):
        make_tiny_adapter(folder / "adapters" / name / "1", seed=seed, rank=2)
    plan = YardPlan(
        data=folder / "data",
        engine="echo",
        adapters=folder / "adapters",
        port=0,
        workers=1,
        slots=SLOTS,
        rows=ROWS,
        environment={"LORAYARD_ECHO_DELAY_SECONDS": "0.01", "LORAYARD_ECHO_LOAD_SECONDS": "0.02"},
    )
    draw = random.Random(3)
    models = [draw.choice(ADAPTERS) for _ in range(lines)]
    write_lines(folder / "in.jsonl", models)
    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings) as client:
        before = await _loads(client)
        await _batch(client, folder, "out")
        loads = await _loads(client, after_jobs=lines) - before
    return SwapsSeen(
        lines=lines, loads=loads, in_file_order=swaps_in_arrival_order(models, workers=1, slots=SLOTS)
    )


async def measure_throughput(folder: Path, *, documents: int, rounds: int) -> ThroughputSeen:
    """A tiny real model with three adapters, two workers; every round has texts of its own."""
    plan = provide(
        YardPlan(data=folder / "data", model="tiny", port=0, slots=SLOTS, rows=ROWS),
        progress=lambda _line: None,
    )
    batch: list[float] = []
    ceiling: list[float] = []
    async with EmbeddedYard(plan) as yard, Client(settings=yard.settings) as client:
        for number in range(rounds + 1):  # the first one warms up
            _write_documents(folder / "in.jsonl", documents, f"{number}-a")
            started = time.monotonic()
            manifest = await _batch(client, folder, f"out-{number}")
            batch.append(manifest.counts.completion_tokens / (time.monotonic() - started))
            _write_documents(folder / "in.jsonl", documents, f"{number}-b")
            ceiling.append(await _all_at_once(client, folder / "in.jsonl"))
    return ThroughputSeen(
        documents=documents,
        batch_tokens_per_second=tuple(batch[1:]),
        ceiling_tokens_per_second=tuple(ceiling[1:]),
    )


def _write_documents(path: Path, documents: int, mark: str) -> None:
    text = " ".join(f"{mark} word{number}" for number in range(DOCUMENT_WORDS))
    models = (TINY_ADAPTERS[number % len(TINY_ADAPTERS)] for number in range(documents))
    write_lines(path, models, text=text, max_tokens=DOCUMENT_TOKENS)


async def _batch(client: Client, folder: Path, name: str) -> Manifest:
    files = batch_files(folder / "in.jsonl", folder / f"{name}.jsonl")
    batch = open_batch(files, BatchOptions(), tenant="default")
    return await BatchRunner(client, batch).run()


async def _all_at_once(client: Client, path: Path) -> float:
    requests = list(_requests(path))
    started = time.monotonic()
    report = await client.submit_many(requests)
    results = [await handle.result() for handle in report.all_handles()]
    tokens = sum(result.usage.completion_tokens for result in results)
    return tokens / (time.monotonic() - started)


def _requests(path: Path) -> list[GenerateRequest]:
    read = (read_line(raw, number) for number, raw in enumerate(path.read_bytes().splitlines(), 1))
    found = [replace(one.asked.requests[0]) for one in read if isinstance(one, Line)]
    return sorted(found, key=lambda request: request.adapter or "")


async def _loads(client: Client, *, after_jobs: int = 0) -> int:
    """Into a slot so far, as the workers tell once they have told of so many jobs."""
    async with asyncio.timeout(TELL_SECONDS):
        while True:
            seen = [advert.counters for advert in await client.workers()]
            if sum(counters.jobs_succeeded for counters in seen) >= after_jobs:
                return sum(counters.slot_loads for counters in seen)
            await asyncio.sleep(0.1)
