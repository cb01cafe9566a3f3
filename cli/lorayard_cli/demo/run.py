"""The demo: a yard in a temporary folder, a real model, three adapters, texts nobody here wrote."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from lorayard import Client, JobHandle, Result
from lorayard_cli.demo.documents import real_documents
from lorayard_cli.demo.report import DemoReport
from lorayard_cli.demo.swaps import swaps_in_arrival_order
from lorayard_cli.demo.workload import DemoJob, make_jobs
from lorayard_cli.embedded.plan import YardPlan
from lorayard_cli.embedded.provisions import provide
from lorayard_cli.embedded.yard import EmbeddedYard
from lorayard_cli.output import note
from lorayard_cli.progress import Advance, progress

WORKERS = 2
SLOTS = 2
"""Fewer than the three adapters, or nothing would ever have to be swapped."""

ROWS = 4
LOOKAHEAD = 0
"""Few, so that jobs wait where they can still be grouped: in the dispatcher."""

DOCUMENTS = 16
"""Four jobs each; together about a minute and a half on two cores."""

SHORT_DOCUMENTS = 6
LIMIT_SECONDS = 600.0
SETTLE_SECONDS = 3.0


async def run_demo(documents: int) -> DemoReport:
    """Start a yard, run the jobs, stop it.

    Raises:
        YardError: the yard did not start, or a part of it cannot run.
        TimeoutError: the jobs took longer than anybody would wait.
    """
    jobs = make_jobs(real_documents(documents))
    with TemporaryDirectory(prefix="lorayard-demo-") as folder:
        plan = YardPlan(
            data=Path(folder),
            workers=WORKERS,
            port=0,
            slots=SLOTS,
            rows=ROWS,
            environment={"LORAYARD_LOOKAHEAD": str(LOOKAHEAD)},
        )
        plan = await asyncio.to_thread(provide, plan, progress=note)
        note(f"starting a bus, a dispatcher and {WORKERS} workers with Gemma 3 270M ...")
        async with EmbeddedYard(plan, on_line=_show_line) as yard:
            note(f"submitting {len(jobs)} jobs: three adapters and the base model, mixed")
            async with Client(settings=yard.settings, name="demo") as client:
                return await _while_yard_runs(yard, client, jobs)


async def _while_yard_runs(yard: EmbeddedYard, client: Client, jobs: Sequence[DemoJob]) -> DemoReport:
    """Run the jobs unless a child is given up first."""
    running = asyncio.create_task(_run_jobs(client, jobs), name="demo-jobs")
    failing = asyncio.create_task(yard.wait(), name="demo-yard")
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            await asyncio.wait({running, failing}, return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            await failing
        return await running
    finally:
        running.cancel()
        failing.cancel()
        await asyncio.gather(running, failing, return_exceptions=True)


async def _run_jobs(client: Client, jobs: Sequence[DemoJob]) -> DemoReport:
    started = time.monotonic()
    submitted = await client.submit_many([job.request for job in jobs])
    handles = submitted.all_handles()
    with progress(len(handles), "answers") as advance:
        results = await asyncio.gather(*(_outcome(handle, advance) for handle in handles))
    seconds = time.monotonic() - started
    return DemoReport(
        jobs=jobs,
        results=results,
        workers=WORKERS,
        slots=SLOTS,
        swaps_made=await _swaps(client, len(jobs)),
        swaps_in_arrival_order=swaps_in_arrival_order(
            [job.adapter for job in jobs], workers=WORKERS, slots=SLOTS
        ),
        seconds=seconds,
    )


async def _outcome(handle: JobHandle, advance: Advance) -> Result:
    result = await handle.outcome()
    advance(" ".join(result.text.split()))
    return result


async def _swaps(client: Client, jobs: int) -> int:
    """Loads into slots as the workers count them, once their adverts have caught up with the results."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        counters = [advert.counters for advert in await client.workers()]
        caught_up = sum(c.jobs_succeeded + c.jobs_failed for c in counters) >= jobs
        if caught_up or time.monotonic() > deadline:
            return sum(c.slot_loads for c in counters)
        await asyncio.sleep(0.05)


def _show_line(name: str, line: str) -> None:
    note(f"{name} | {line}")
