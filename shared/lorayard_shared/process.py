"""How a process of the yard starts, and runs until it is told to stop or until a part of it fails."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_AGAIN_SECONDS = 0.5


class StoppedError(Exception):
    """Told to stop before the start was over."""

    def __init__(self) -> None:
        super().__init__("told to stop while still starting")


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def unless_stopped(stop: asyncio.Event, step: Coroutine[Any, Any, T]) -> T:
    """Do a step of a start; a stop ends it. Any of them may wait for a bus that does not answer.

    Raises:
        StoppedError: the stop came first.
    """
    doing = asyncio.create_task(step, name="start")
    stopped = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait([doing, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise StoppedError
        return doing.result()
    finally:
        await end_tasks([doing, stopped])


async def in_daemon_thread(work: Callable[[], T], *, name: str) -> T:
    """Like `asyncio.to_thread`, for what cannot be interrupted: neither loop nor interpreter waits for it."""
    outcome = Future[T]()

    def run() -> None:
        outcome.set_running_or_notify_cancel()  # from here on a cancel only ends the waiting
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001  # whoever waits raises it
            outcome.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(outcome)


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


async def end_tasks(
    tasks: Iterable[asyncio.Task[Any]], *, last_seconds: float = CANCEL_AGAIN_SECONDS
) -> None:
    """Cancel tasks and wait until they are over; each may take `last_seconds` for what it does at last.

    One cancel is not always enough: `asyncio.wait_for` of Python 3.11 swallows one that meets its result
    (cpython 86296), and libraries wait by it everywhere.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        ended, pending = await asyncio.wait(pending, timeout=last_seconds)
        for task in ended:
            if not task.cancelled():
                task.exception()  # seen; whoever owns the task has logged it or raises it
