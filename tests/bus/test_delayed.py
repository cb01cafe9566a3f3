"""Delayed jobs: those in order are served, all others buried with the reason."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from lorayard_schemas.codec import encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.result import JobResult, ResultState
from lorayard_schemas.subjects import JobAddress
from lorayard_shared.bus.connection import Bus

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> object: ...
    async def worker(self, name: str = "w1", **given: object) -> object: ...
    async def result(self, job: str) -> JobResult: ...
    async def stored(self, job: str) -> JobResult | None: ...
    async def left(self, kind: str = "jobs") -> int: ...
    async def dead_letters(self) -> list[DeadLetter]: ...


async def delay(yard: Yard, job: str, schedule: str | None, *, targeted: bool = True) -> None:
    subjects = yard.bus.subjects
    target = subjects.due_job(JobAddress(lane=Lane.NORMAL, tenant="acme", adapter=None))
    headers = {"Nats-Schedule": schedule} if schedule else {}
    headers |= {"Nats-Schedule-Target": target} if targeted else {}
    body = encode(Job(id=job, prompt="x"))
    await yard.bus.js.publish(subjects.delayed_job("acme", job), body, headers=headers or None)


def at(seconds: float) -> str:
    return f"@at {(datetime.now(UTC) + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%SZ')}"


async def test_a_delayed_job_runs_at_its_time_and_not_before(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    await yard.worker()
    await delay(yard, "later", at(3600))
    await delay(yard, "soon", at(1))
    assert (await yard.result("soon")).state is ResultState.SUCCEEDED

    async def only_later_is_left() -> bool:  # the other goes a moment after its result is stored
        return await yard.left("delayed") == 1

    await wait_until(only_later_is_left)
    assert await yard.stored("later") is None
    assert await yard.dead_letters() == []


@pytest.mark.parametrize(
    ("schedule", "targeted", "reason"),
    [
        (None, False, "Nats-Schedule"),
        (None, True, "Nats-Schedule"),
        ("@every 1h", True, "repeats"),
    ],
)
async def test_what_would_never_be_served_is_buried_with_the_reason(
    yard: Yard, wait_until: WaitUntil, schedule: str | None, targeted: bool, reason: str
) -> None:
    await yard.dispatcher()
    await delay(yard, "j", schedule, targeted=targeted)

    async def gone() -> bool:
        return await yard.left("delayed") == 0

    await wait_until(gone)
    (letter,) = await yard.dead_letters()
    assert letter.subject == yard.bus.subjects.delayed_job("acme", "j")
    assert reason in f"{letter.field} {letter.reason}"
    assert b"j" in letter.body


async def test_what_came_before_the_dispatcher_is_looked_at_too(yard: Yard, wait_until: WaitUntil) -> None:
    await delay(yard, "j", None, targeted=False)
    await yard.dispatcher()

    async def buried() -> bool:
        return len(await yard.dead_letters()) == 1

    await wait_until(buried)
