"""When the bus is away, full, empty or restarting, the client says so or waits it out (E2, E3, E5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest
from nats.aio.msg import Msg

import lorayard.listener
import lorayard.publisher
from lorayard import (
    BusUnavailableError,
    CancelOutcome,
    Client,
    GenerateRequest,
    JobHandle,
    NoDispatcherError,
    ResultState,
    YardFullError,
    YardNotReadyError,
    YardRefusedError,
)
from lorayard.stored_results import StoredResults
from lorayard_schemas.assignment import CancelJob, CancelReply
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import INLINE_BYTES
from lorayard_schemas.result import JobResult
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.declare import declare
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.bus.topology import topology
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

MIB = 2**20


class Server(Protocol):
    """A server that a test kills and starts again."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    def start(self) -> None:
        """Start it, on the port and the store it had."""

    def kill(self) -> None:
        """End it as a power cut would."""


def answer(job_id: str, text: str = "an answer") -> JobResult:
    return JobResult(job=job_id, tenant="default", state=ResultState.SUCCEEDED, text=text)


async def answer_all(bus: Bus, handles: list[JobHandle]) -> None:
    store = ResultStore(bus, PayloadStore(bus))
    await asyncio.gather(*(store.store(answer(handle.id, handle.id)) for handle in handles))


@pytest.fixture
async def own_yard(own_server: Server) -> YardSettings:
    """A yard on a server that the test may kill."""
    settings = YardSettings(url=own_server.url, connect_timeout_seconds=30)
    async with await connect(settings, name="declare") as bus:
        await declare(bus, topology(settings))
    return settings


async def test_results_arrive_over_a_restart_of_the_server(
    own_server: Server, own_yard: YardSettings
) -> None:
    async with Client(settings=own_yard) as yard:
        handles = (await yard.submit_many([GenerateRequest("hello")] * 600)).all_handles()
        waiting = asyncio.gather(*(handle.result() for handle in handles))
        async with await connect(own_yard, name="worker") as bus:
            await answer_all(bus, handles[:200])
        own_server.kill()
        own_server.start()
        async with await connect(own_yard, name="worker") as bus:
            await answer_all(bus, handles[200:])
        assert [result.text for result in await waiting] == [handle.id for handle in handles]


async def silence_results(bus: Bus) -> None:
    """From now on stored results are not announced, as if every notice were lost."""
    stream = bus.subjects.stream("results")
    config = (await bus.api(f"STREAM.INFO.{stream}"))["config"]
    config.pop("republish")
    await bus.api(f"STREAM.UPDATE.{stream}", config)


async def test_a_client_that_comes_back_asks_for_what_it_missed(
    own_server: Server, own_yard: YardSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lorayard.listener, "FIRST_POLL_SECONDS", 3600)
    async with Client(settings=own_yard) as yard:
        awaited, later = (await yard.submit_many([GenerateRequest("hello")] * 2)).all_handles()
        waiting = asyncio.create_task(awaited.result())
        async with await connect(own_yard, name="worker") as bus:
            await silence_results(bus)
            await answer_all(bus, [awaited, later])
        own_server.kill()
        own_server.start()
        assert (await waiting).text == awaited.id
        assert (await later).text == later.id


async def test_a_submit_during_a_restart_is_stored_once(
    own_server: Server, own_yard: YardSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lorayard.publisher, "TRY_SECONDS", 3600)  # the reconnect sends again, not the clock
    async with Client(settings=own_yard) as yard, await connect(own_yard, name="observer") as bus:
        first = await bus.nc.subscribe(bus.subjects.jobs, max_msgs=1)
        await bus.api("INFO")  # a round trip behind the subscription: the PING of flush() overtakes it
        submitting = asyncio.create_task(yard.submit_many([GenerateRequest("hello")] * 3000))
        await first.next_msg(timeout=30)
        own_server.kill()
        own_server.start()
        handles = (await submitting).all_handles()
        assert len({handle.id for handle in handles}) == 3000
        assert (await yard.queue_depth()).total == 3000


async def test_the_poll_finds_a_result_that_was_never_announced(
    settings: YardSettings, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lorayard.listener, "FIRST_POLL_SECONDS", 0.05)
    await silence_results(bus)
    async with Client(settings=settings) as yard:
        handles = (await yard.submit_many([GenerateRequest("hello")] * 300)).all_handles()
        waiting = asyncio.gather(*(handle.result() for handle in handles))
        await answer_all(bus, handles)
        assert len(await waiting) == 300


async def test_asking_a_bus_without_a_yard_for_many_results_says_so(bus_url: str) -> None:
    settings = YardSettings(url=bus_url, prefix="nobody")
    async with await connect(settings, name="test") as bus:
        with pytest.raises(YardNotReadyError):
            await StoredResults(bus, "default").get_many(["a", "b"])


async def test_no_server_is_said_at_once_with_its_address() -> None:
    with pytest.raises(BusUnavailableError, match=r"127\.0\.0\.1:1"):
        await Client("nats://127.0.0.1:1").open()


async def test_a_bus_without_a_yard_is_told_from_no_bus(bus_url: str) -> None:
    async with Client(bus_url, prefix="nobody") as yard:
        for verb in (
            yard.submit("hello"),
            yard.submit("x" * (INLINE_BYTES + 1)),
            yard.submit("hello", idempotency_key="k"),
            yard.handle("j1").result(),
            yard.handle("j1").done(),
            yard.adapters(),
            yard.workers(),
            yard.queue_depth(),
        ):
            with pytest.raises(YardNotReadyError, match=r"no yard 'nobody'.*lorayard up"):
                await verb


async def test_a_stream_without_a_leader_is_not_a_yard_that_is_missing(
    settings: YardSettings, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a cluster elects one: the stream is there, but for a moment nobody listens on its subject."""
    monkeypatch.setattr(lorayard.publisher, "LEADERLESS_PAUSE_SECONDS", 0.01)
    stream = bus.subjects.stream("jobs")
    config = (await bus.api(f"STREAM.INFO.{stream}"))["config"]
    await bus.api(f"STREAM.UPDATE.{stream}", {**config, "subjects": ["elsewhere.>"]})
    unheard = await bus.nc.subscribe(f"$JS.API.STREAM.INFO.{stream}", max_msgs=2)
    await bus.api("INFO")  # a round trip behind the subscription: the PING of flush() overtakes it
    async with Client(settings=settings) as yard:
        submitting = asyncio.create_task(yard.submit("hello"))
        for _ in range(2):  # the client doubts, tries again, and doubts again
            await unheard.next_msg(timeout=30)
        await bus.api(f"STREAM.UPDATE.{stream}", config)
        assert not (await submitting).existing
        assert (await yard.queue_depth()).total == 1


async def test_a_full_yard_pushes_back_and_keeps_what_it_took(
    make_settings: Callable[..., Awaitable[YardSettings]],
) -> None:
    settings = await make_settings(jobs_max_bytes=MIB)
    async with Client(settings=settings) as yard:
        report = await yard.submit_many([GenerateRequest("x" * (MIB // 10))] * 30)
        assert len(report) == 30
        assert 5 < len(report.handles) < 11
        assert {type(error) for _, error in report.errors} == {YardFullError}
        assert (await yard.queue_depth()).total == len(report.handles)
        with pytest.raises(YardFullError, match="maximum bytes exceeded"):
            await yard.submit("x" * (MIB // 10))


@pytest.mark.parametrize("outcome", [CancelOutcome.CANCELLED, CancelOutcome.FINISHED])
async def test_a_cancel_goes_to_a_dispatcher_and_comes_back_with_what_it_found(
    settings: YardSettings, bus: Bus, outcome: CancelOutcome
) -> None:
    orders: list[CancelJob] = []

    async def dispatch(message: Msg) -> None:
        orders.append(decode(CancelJob, message.data))
        await message.respond(encode(CancelReply(outcome=outcome)))

    await bus.nc.subscribe(bus.subjects.dispatcher("cancel"), cb=dispatch)
    await bus.api("INFO")  # a round trip behind the subscription: the PING of flush() overtakes it
    async with Client(settings=settings) as yard:
        handle = await yard.submit("hello")
        assert await handle.cancel() is outcome
        assert orders == [CancelJob(tenant="default", job=handle.id)]


async def test_a_refused_cancel_says_why(settings: YardSettings, bus: Bus) -> None:
    headers = {"Nats-Service-Error": "shutting down", "Nats-Service-Error-Code": "503"}

    async def dispatch(message: Msg) -> None:
        await bus.nc.publish(message.reply, b"", headers=headers)

    await bus.nc.subscribe(bus.subjects.dispatcher("cancel"), cb=dispatch)
    await bus.api("INFO")  # a round trip behind the subscription: the PING of flush() overtakes it
    async with Client(settings=settings) as yard:
        with pytest.raises(YardRefusedError, match=r"shutting down \(503\)"):
            await yard.handle("j1").cancel()


async def test_what_only_a_dispatcher_does_says_so_without_one(settings: YardSettings) -> None:
    async with Client(settings=settings) as yard:
        with pytest.raises(NoDispatcherError, match="none is running"):
            await yard.placements()
