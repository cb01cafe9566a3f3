"""How a process of the yard starts, and runs until it is told to stop or until a part of it fails."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

import nats.errors

from lorayard_shared.logs import Event, process_logger

T = TypeVar("T")

INTERRUPTED = 130
"""The exit code of what a signal has ended."""

CANCEL_AGAIN_SECONDS = 0.5


class StoppedError(Exception):
    """Told to stop before the start was over."""

    def __init__(self) -> None:
        super().__init__("told to stop while still starting")


class Stop(asyncio.Event):
    """Set by the first signal; by the second `hurried`, too; a third one ends the process where it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.hurried = asyncio.Event()
        """Whoever stops it waits for nothing that can be handed back."""

    def again(self) -> None:
        """Somebody asks."""
        if self.hurried.is_set():
            os._exit(INTERRUPTED)  # nothing is lost by it: what was held comes again
        if self.is_set():
            self.hurried.set()
        self.set()


def stop_on_signals() -> Stop:
    """What SIGTERM and SIGINT set."""
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.again)
    return stop


Step = Callable[[], Coroutine[Any, Any, object]]


async def end_in_order(steps: Mapping[str, Step]) -> None:
    """Do the steps of a stop, each of them: one that fails must not keep the next from being done.

    Raises:
        Exception: that of the first step that failed otherwise than by a bus that is away, once all are done.
    """
    failed: Exception | None = None
    for name, step in steps.items():
        try:
            await step()
        except nats.errors.Error as error:  # whoever stops cannot wait for the bus
            reason = str(error) or type(error).__name__
            process_logger().warning(Event.STOP_STEP_FAILED, step=name, reason=reason)
        except Exception as error:  # noqa: BLE001  # raised below: the rest has to be done first
            process_logger().exception(Event.STOP_STEP_FAILED, step=name)
            failed = failed or error
    if failed is not None:
        raise failed


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
