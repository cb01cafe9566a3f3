"""`handle.status()` says where a job is, in each state that it can be in (E2, E4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.bus.conftest import ADAPTER, RunningServer, Yard

from lorayard import (
    BusUnavailableError,
    Client,
    InvalidRequestError,
    JobHandle,
    JobPlace,
    JobStatus,
    ResultState,
    SyncClient,
    WaitReason,
    YardNotReadyError,
)
from lorayard_shared.settings import YardSettings
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.echo_script import Scripted
from lorayard_workers.engine.outcome import Failed, FailureKind
from lorayard_workers.engine.request import GenerationRequest

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def client(yard: Yard) -> AsyncIterator[Client]:
    async with Client(settings=yard.settings, tenant="acme") as client:
        yield client


async def becomes(
    handle: JobHandle, wait_until: WaitUntil, place: JobPlace, reason: WaitReason | None = None
) -> JobStatus:
    told: list[JobStatus] = []

    async def so_far() -> bool:
        told[:] = [await handle.status()]
        return (told[0].place, told[0].reason) == (place, reason)

    await wait_until(so_far)
    assert told[0].sentence.startswith(f"job {handle.id} ")
    return told[0]


async def test_a_job_is_followed_from_the_queue_to_its_end__e2(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    handle = await client.submit("x", lane="high")
    queued = await becomes(handle, wait_until, JobPlace.QUEUED)
    assert (queued.lane, queued.adapter, queued.worker, queued.state) == ("high", None, None, None)
    assert queued.waited_seconds is not None

    await yard.dispatcher()
    parked = await becomes(handle, wait_until, JobPlace.PARKED, WaitReason.NO_WORKER)
    assert parked.sentence.endswith("no worker is alive")

    await yard.worker(echo_delay_seconds=60, drain_seconds=0)
    running = await becomes(handle, wait_until, JobPlace.AT_WORKER)
    assert (running.worker, running.attempt, running.waited_seconds) == ("w1", 1, None)

    await handle.cancel()
    ended = await becomes(handle, wait_until, JobPlace.ENDED)
    assert ended.state is ResultState.CANCELLED


async def test_a_job_for_later_says_when__e4(client: Client) -> None:
    handle = await client.submit("x", delay_seconds=3600)
    status = await handle.status()
    assert status.place is JobPlace.SCHEDULED
    assert status.at is not None
    (waiting,) = await client.scheduled()
    assert abs(status.at - waiting.at) < 2


async def test_a_job_that_failed_says_when_it_is_tried_again_and_why__e4(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    def fails(_request: GenerationRequest) -> Scripted:
        failure = Failed(request_id="", kind=FailureKind.RETRYABLE, code="hiccup", message="not now")
        return Scripted(outcome=failure)

    await yard.dispatcher()
    await yard.worker(engine=EchoEngine(script=fails))
    handle = await client.submit("x", retry={"base_seconds": 60.0, "cap_seconds": 60.0})
    status = await becomes(handle, wait_until, JobPlace.RETRYING)
    assert (status.attempt, status.last_error) == (2, "hiccup: not now")
    assert status.at is not None


@pytest.mark.parametrize("dispatched", [True, False], ids=["dispatcher", "no dispatcher"])
async def test_a_paused_job_says_by_whom__e4(
    yard: Yard, client: Client, wait_until: WaitUntil, dispatched: bool
) -> None:
    await client.control.pause("tenant", "acme", reason="nightly backup")
    if dispatched:  # to one that runs already a pause comes on another way than jobs
        await yard.dispatcher()
        await yard.worker()
    handle = await client.submit("x")
    status = await becomes(handle, wait_until, JobPlace.HELD, WaitReason.PAUSED)
    assert status.held_by is not None
    assert "acme" in status.held_by
    assert "nightly backup" in status.held_by


async def test_a_struck_job_says_by_whom__e4(
    yard: Yard, client: Client, adapters: Path, wait_until: WaitUntil
) -> None:
    await client.strikes.add(adapter=ADAPTER, reason="it rambles")
    await yard.dispatcher()
    await yard.worker(adapters_dir=adapters)
    handle = await client.submit("x", adapter=ADAPTER)
    status = await becomes(handle, wait_until, JobPlace.HELD, WaitReason.STRUCK)
    assert "it rambles" in (status.held_by or "")


async def test_what_left_no_trace_is_unknown_and_what_is_no_id_is_refused__g3(client: Client) -> None:
    status = await client.handle("never-submitted").status()
    assert (status.place, status.state, status.worker) == (JobPlace.UNKNOWN, None, None)
    with pytest.raises(InvalidRequestError):
        client.handle("no id at all")


async def test_the_blocking_handle_says_the_same__e2(yard: Yard, client: Client) -> None:
    handle = await client.submit("x", delay_seconds=3600)

    def ask() -> JobStatus:
        with SyncClient(settings=yard.settings, tenant="acme") as sync:
            return sync.handle(handle.id).status()

    assert (await asyncio.to_thread(ask)).place is JobPlace.SCHEDULED


async def test_no_yard_and_no_bus_are_told_apart__g3(
    bus_url: str, own_server: RunningServer, wait_until: WaitUntil
) -> None:
    async with Client(bus_url, prefix="nothing-here") as client:
        with pytest.raises(YardNotReadyError):
            await client.handle("j").status()
    async with Client(settings=YardSettings(url=own_server.url)) as client:
        handle = client.handle("j")
        own_server.kill()

        async def away() -> bool:
            try:
                await handle.status()
            except BusUnavailableError:
                return True
            except YardNotReadyError:
                return False
            return False

        await wait_until(away)
