"""How far `summarize` is: a bar in a terminal, a line every ten seconds elsewhere; always on stderr."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from lorayard.summarize.tally import Tally
from lorayard_cli.batch_progress import LINE_SECONDS, clock
from lorayard_cli.output import counted, err, note
from lorayard_shared.process import end_tasks

LOOK_SECONDS = 0.25


@asynccontextmanager
async def shown(tally: Tally) -> AsyncGenerator[None]:
    """Show a run's progress while the block runs."""
    follow = _follow_bar if sys.stderr.isatty() else _follow_lines
    task = asyncio.create_task(follow(tally), name="progress")
    try:
        yield
    finally:
        await end_tasks([task])


def state(tally: Tally) -> str:
    """All but the documents, in few words."""
    told = [f"{tally.chunks_done}/{tally.chunks} jobs"]
    if tally.answered:
        told.append(f"{tally.tokens_per_second:,.0f} tokens/s")
    if tally.hit_rate is not None:
        told.append(f"{tally.hit_rate:.0%} slot hits")
    if tally.kept or tally.chunks_kept:
        told.append(f"kept: {counted(tally.kept, 'document')}, {counted(tally.chunks_kept, 'answer')}")
    if tally.failed or tally.unreadable:
        told.append(f"{tally.failed} failed, {tally.unreadable} unreadable")
    if tally.retried:
        told.append(f"{tally.retried} asked again")
    if tally.seconds_left is not None:
        told.append(f"{clock(tally.seconds_left)} left")
    return ", ".join(told)


async def _follow_bar(tally: Tally) -> None:
    columns = (
        TextColumn("summarize"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("summarize", total=tally.documents, state="")
        while True:
            bar.update(task, completed=tally.done, total=tally.documents, state=state(tally))
            await asyncio.sleep(LOOK_SECONDS)


async def _follow_lines(tally: Tally) -> None:
    while True:
        await asyncio.sleep(LINE_SECONDS)
        note(f"summarize: {tally.done}/{tally.documents} documents, {state(tally)}")
