"""How long a job may wait, and run: from the client to its result (E4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from lorayard import Client, InvalidRequestError, ResultState
from lorayard_schemas.codec import decode
from lorayard_schemas.job import Job
from lorayard_shared.bus.connection import Bus
from lorayard_shared.settings import YardSettings
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.request import GenerationRequest

pytestmark = pytest.mark.bus


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> object: ...
    async def worker(self, name: str = "w1", **given: object) -> object: ...


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings) as client:
        yield client


async def test_run_limits_of_jobs_and_of_their_worker__e4(yard: Yard, client: Client) -> None:
    await yard.dispatcher()
    await yard.worker(echo_delay_seconds=3600.0, run_limit_seconds=0.4, max_run_seconds=0.6)
    soft = await client.submit("a", run_limit_seconds=0.1)
    hard = await client.submit("b", run_limit_hard_seconds=0.1)
    silent = await client.submit("c")
    greedy = await client.submit("d", run_limit_seconds=3000.0)
    for handle in (soft, silent, greedy):
        result = await handle.result(60)
        assert (result.state, result.finish_reason) == (ResultState.SUCCEEDED, "time")
    failed = await hard.outcome(60)
    assert failed.error is not None
    assert (failed.error.code, failed.error.kind) == ("run_limit", "permanent")


async def test_a_job_expires_that_waits_too_long_and_one_that_runs_goes_on__e4(
    yard: Yard, client: Client
) -> None:
    await yard.dispatcher()
    waits = await client.submit("a", start_within_seconds=0.2)
    assert (await waits.outcome(60)).state is ResultState.EXPIRED

    def beyond(request: GenerationRequest) -> Scripted:
        return Scripted(delay_seconds=float(str(request.prompt)) + 0.4)

    await yard.worker(engine=EchoEngine(script=beyond))
    states: list[ResultState] = []
    for seconds in (0.6, 6.0, 30.0):  # a machine that is busy may be too late for the first
        runs = await client.submit(f"{seconds}", start_within_seconds=seconds)
        states.append((await runs.outcome(60)).state)
        if states[-1] is ResultState.SUCCEEDED:
            return
    pytest.fail(f"what runs has to go on: {states}")


async def test_waiting_counts_from_the_start_of_a_job_for_later__e4(client: Client, bus: Bus) -> None:
    handle = await client.submit("x", delay_seconds=3600, start_within_seconds=60)
    (waits,) = await client.scheduled()
    subject = bus.subjects.delayed_job("default", handle.id)
    message = await bus.js.get_msg(bus.subjects.stream("delayed"), subject=subject, direct=True)
    start_by = decode(Job, message.data or b"").start_by
    assert start_by is not None
    assert abs(start_by - waits.at - 60) < 1e-3


async def test_limits_that_cannot_be_are_refused_by_their_field__e4(client: Client) -> None:
    for field in ("run_limit_seconds", "run_limit_hard_seconds", "start_within_seconds"):
        for bad in (0, -1, float("nan"), float("inf"), "soon"):
            with pytest.raises(InvalidRequestError) as error:
                await client.submit("x", **{field: bad})  # type: ignore[arg-type]  # that is the point
            assert error.value.field == field
