"""How a process of the yard runs until it is told to stop, or until a part of it fails."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable
from typing import Any

CANCEL_AGAIN_SECONDS = 0.5


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def run_until(stop: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait for the stop. A task that ends first ends the wait with its error.

    A process that lost one of its loops must not look alive while it is deaf.
    """
    stopped = asyncio.create_task(stop.wait(), name="stop")
    try:
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    for task in done - {stopped}:
        task.result()


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are over.

    One cancel is not always enough: `asyncio.wait_for` of Python 3.11 swallows one that meets its result
    (cpython 86296), and libraries wait by it everywhere.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        ended, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)
        for task in ended:
            if not task.cancelled():
                task.exception()  # seen; whoever owns the task has logged it or raises it
