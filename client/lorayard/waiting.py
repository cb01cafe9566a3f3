"""Wait for several jobs at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from lorayard.deadlines import sooner, without_deadline
from lorayard.errors import ClientClosedError, InvalidRequestError, JobTimeoutError, YardNotReadyError
from lorayard.handle import JobHandle
from lorayard.result import Result

H = TypeVar("H")


class ReturnWhen(StrEnum):
    """What ends a `wait`, beside its time; the names are those of `asyncio.wait`."""

    ALL_COMPLETED = "all_completed"
    FIRST_COMPLETED = "first_completed"
    FIRST_EXCEPTION = "first_exception"
    """A job that ended without an answer, or all have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitReport(Generic[H]):
    """Which jobs have ended, well or not, in the order of the question, and which not yet."""

    done: list[H]
    pending: list[H]


async def wait(
    handles: Iterable[JobHandle], *, timeout_seconds: float | None, return_when: str
) -> WaitReport[JobHandle]:
    """As `Client.wait`."""
    until, timeout_seconds = _checked_return_when(return_when), sooner(timeout_seconds)
    asked = list(handles)
    if not asked:
        return WaitReport(done=[], pending=[])
    async with _outcomes(asked) as tasks:
        done, _ = await asyncio.wait(tasks, timeout=timeout_seconds, return_when=until.upper())
        _check(done)
        return WaitReport(
            done=[handle for handle, task in zip(asked, tasks, strict=True) if task in done],
            pending=[handle for handle, task in zip(asked, tasks, strict=True) if task not in done],
        )


async def as_completed(
    handles: Iterable[JobHandle], *, timeout_seconds: float | None
) -> AsyncGenerator[JobHandle]:
    """As `Client.as_completed`."""
    timeout_seconds = sooner(timeout_seconds)
    until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    async with _outcomes(asked := list(handles)) as tasks:
        left = dict(zip(tasks, asked, strict=True))
        while left:
            seconds = None if until is None else max(0.0, until - time.monotonic())
            done, _ = await asyncio.wait(left, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                first = next(iter(left.values()))
                raise JobTimeoutError(job_id=first.id, timeout_seconds=timeout_seconds or 0.0)
            _check(done)
            for task in [task for task in left if task in done]:
                yield left.pop(task)


def _checked_return_when(return_when: str) -> ReturnWhen:
    """The word, if it is one.

    Raises:
        InvalidRequestError: it is none.
    """
    try:
        return ReturnWhen(return_when)
    except ValueError:
        words = ", ".join(ReturnWhen)
        raise InvalidRequestError(field="return_when", reason=f"{return_when!r} is none of {words}") from None


@asynccontextmanager
async def _outcomes(handles: list[JobHandle]) -> AsyncGenerator[list[asyncio.Task[Result]]]:
    tasks = [
        asyncio.create_task(handle.result(), name=f"wait-{handle.id}", context=without_deadline())
        for handle in handles
    ]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _check(done: Iterable[asyncio.Task[Result]]) -> None:
    """A wait that was cut short says nothing of the job."""
    for task in done:
        if isinstance(error := task.exception(), ClientClosedError | YardNotReadyError):
            raise error
