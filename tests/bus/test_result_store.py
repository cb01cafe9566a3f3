"""One result per job, whoever comes first and however often it is tried (E3, G1)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import pytest
import structlog
from nats.js.errors import NotFoundError

import lorayard_shared.bus.result_store
from lorayard_cli.checks.finding import Level
from lorayard_cli.checks.room import check_streams
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import INLINE_BYTES
from lorayard_schemas.result import ErrorKind, JobResult, ResultError, ResultState
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import PackedResult, ResultStore, Stored
from lorayard_shared.logs import Event
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class Server(Protocol):
    """A server that a test kills and starts again."""

    def start(self) -> None:
        """Start it, on the port and the store it had."""

    def kill(self) -> None:
        """End it as a power cut would."""


def answer(text: str = "an answer", *, job: str = "j", tenant: str = "t") -> JobResult:
    return JobResult(job=job, tenant=tenant, state=ResultState.SUCCEEDED, text=text)


def packed(given: Sequence[JobResult]) -> list[PackedResult]:
    return [PackedResult(tenant=one.tenant, job=one.job, body=encode(one)) for one in given]


def results(bus: Bus) -> ResultStore:
    return ResultStore(bus, PayloadStore(bus))


async def stored(bus: Bus, *, tenant: str = "t") -> JobResult:
    message = await bus.js.get_msg(
        bus.subjects.stream("results"), subject=bus.subjects.result(tenant, "j"), direct=True
    )
    return decode(JobResult, message.data or b"")


async def test_the_first_result_stays(bus: Bus) -> None:
    store = results(bus)
    assert await store.store(answer("first")) is Stored.NOW
    assert await store.store(answer("second")) is Stored.BEFORE
    assert await stored(bus) == answer("first")


async def test_of_many_at_once_exactly_one_is_stored(bus: Bus) -> None:
    store = results(bus)
    outcomes = await asyncio.gather(*(store.store(answer(str(number))) for number in range(20)))
    assert sorted(outcomes) == [Stored.BEFORE] * 19 + [Stored.NOW]
    assert (await stored(bus)).text == str(outcomes.index(Stored.NOW))


async def test_results_stored_together_are_each_stored_once(bus: Bus) -> None:
    store = results(bus)
    assert await store.store(answer("first")) is Stored.NOW
    together = [answer("late"), answer("other", job="k"), answer("yours", tenant="u")]
    assert await store.try_together(packed(together)) == [Stored.BEFORE, Stored.NOW, Stored.NOW]
    assert await store.try_together(packed(together)) == [Stored.BEFORE] * 3
    assert (await stored(bus)).text == "first"
    assert (await stored(bus, tenant="u")).text == "yours"


async def test_what_cannot_be_stored_together_is_left_to_patience(
    make_settings: Callable[..., Awaitable[YardSettings]],
) -> None:
    """A text that goes by reference, and a full stream; the rest is stored."""
    async with await connect(await make_settings(results_max_bytes=2**20), name="test") as bus:
        store = results(bus)
        big = answer("x" * (INLINE_BYTES + 1), job="big")
        fillers = [answer("x" * (500 * 1024), job=f"filler-{number}") for number in range(3)]
        assert await store.try_together(packed([big, answer(), *fillers])) == [
            None,
            Stored.NOW,
            Stored.NOW,
            Stored.NOW,
            None,
        ]


async def test_together_or_not_nothing_is_stored_where_there_is_no_yard(bus_url: str) -> None:
    async with await connect(YardSettings(url=bus_url, prefix="nowhere"), name="test") as bus:
        assert await results(bus).try_together(packed([answer(), answer(job="k")])) == [None, None]


async def test_two_tenants_may_use_one_job_id(bus: Bus) -> None:
    store = results(bus)
    assert await store.store(answer("mine")) is Stored.NOW
    assert await store.store(answer("yours", tenant="Ü")) is Stored.NOW
    assert (await stored(bus, tenant="Ü")).text == "yours"


async def test_only_a_stored_result_is_announced(bus: Bus, wait_until: WaitUntil) -> None:
    """A refused one still reaches whoever listens on the results' own subject."""
    announced = await bus.nc.subscribe(bus.subjects.done("t"))
    store = results(bus)
    await store.store(answer("first"))
    await store.store(answer("second"))
    await store.store(answer("other", job="k"))
    texts = [decode(JobResult, (await announced.next_msg(timeout=30)).data).text for _ in range(2)]
    assert texts == ["first", "other"]


async def test_a_big_result_goes_by_reference(bus: Bus) -> None:
    text = "x" * (2 * INLINE_BYTES)
    assert await results(bus).store(answer(text)) is Stored.NOW
    found = await stored(bus)
    assert found.text is None
    assert found.text_ref is not None
    assert await PayloadStore(bus).get(found.text_ref) == text


async def test_a_second_big_result_leaves_the_first_ones_text_alone(bus: Bus) -> None:
    """Sampled twice, a job has two texts; the reference of the stored one must still find its own."""
    store = results(bus)
    first, second = ("1" * (INLINE_BYTES + 1), "2" * (INLINE_BYTES + 1))
    assert await store.store(answer(first)) is Stored.NOW
    assert await store.store(answer(second)) is Stored.BEFORE
    ref = (await stored(bus)).text_ref
    assert ref is not None
    assert await PayloadStore(bus).get(ref) == first


async def test_a_result_waits_for_a_bus_that_is_away_and_is_stored_once(
    own_server: Server, own_settings: YardSettings, wait_until: WaitUntil
) -> None:
    async with await connect(own_settings, name="test") as bus:
        own_server.kill()
        await wait_until(lambda: not bus.connected)
        storing = [asyncio.create_task(results(bus).store(answer(str(number)))) for number in range(3)]
        await asyncio.wait(storing, timeout=0.3)
        assert not any(task.done() for task in storing), "nothing is given up"
        own_server.start()
        await asyncio.wait(storing)
        assert (await stored(bus)).text in {"0", "1", "2"}
        info = await bus.api(f"STREAM.INFO.{bus.subjects.stream('results')}")
        assert info["state"]["messages"] == 1


async def test_a_result_is_kept_as_long_as_the_settings_say(
    make_settings: Callable[..., Awaitable[YardSettings]], wait_until: WaitUntil
) -> None:
    settings = await make_settings(result_ttl_seconds=1)

    async with await connect(settings, name="test") as bus:
        await results(bus).store(answer())

        async def gone() -> bool:
            try:
                await stored(bus)
            except NotFoundError:
                return True
            return False

        await wait_until(gone)


async def test_a_full_stream_is_named_and_waited_out(
    make_settings: Callable[..., Awaitable[YardSettings]], wait_until: WaitUntil
) -> None:
    settings = await make_settings(results_max_bytes=2**20)
    async with await connect(settings, name="test") as bus:
        with structlog.testing.capture_logs() as logs:
            store = results(bus)
            for number in range(2):
                await store.store(answer("x" * (500 * 1024), job=f"filler-{number}"))
            assert "98 %" in (await filled(bus))["results"]
            waiting = asyncio.create_task(store.store(answer("x" * (500 * 1024))))
            await wait_until(lambda: any(entry["event"] == Event.RESULTS_FULL for entry in logs))
            assert not waiting.done()
            await bus.api(f"STREAM.PURGE.{bus.subjects.stream('results')}")
            assert await waiting is Stored.NOW
        structlog.reset_defaults()
    (told, *_) = [entry for entry in logs if entry["event"] == Event.RESULTS_FULL]
    assert (told["log_level"], told["job"], told["times"]) == ("error", "j", 1)
    assert "LORAYARD_RESULTS_MAX_BYTES" in told["mend"]


async def test_many_results_that_wait_for_room_share_one_line(
    make_settings: Callable[..., Awaitable[YardSettings]],
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker with hundreds of finished jobs would fill its log with what one line says."""
    monkeypatch.setattr(lorayard_shared.bus.result_store, "TELL_SECONDS", 3600.0)
    settings = await make_settings(results_max_bytes=2**20)
    async with await connect(settings, name="test") as bus:
        with structlog.testing.capture_logs() as logs:
            store = results(bus)
            for number in range(2):
                await store.store(answer("x" * (500 * 1024), job=f"filler-{number}"))
            before = published(bus)
            waiting = [
                asyncio.create_task(store.store(answer("x" * (500 * 1024), job=f"j{number}")))
                for number in range(5)
            ]
            await wait_until(lambda: published(bus) > before + 10)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        structlog.reset_defaults()
    assert [entry["job"] for entry in logs if entry["event"] == Event.RESULTS_FULL] == ["j0"]


def published(bus: Bus) -> int:
    """How many messages the connection has sent."""
    return bus.nc.stats["out_msgs"]


async def filled(bus: Bus) -> dict[str, str]:
    """What `doctor` says of a stream that is nearly full."""
    findings = [finding async for finding in check_streams(bus)]
    return {
        finding.check.removeprefix("room for "): finding.message
        for finding in findings
        if finding.level is not Level.OK
    }


async def test_an_error_longer_than_a_message_is_stored_as_far_as_it_fits__e3(bus: Bus) -> None:
    """It would be tried for ever, and its job never be answered."""
    error = ResultError(kind=ErrorKind.RETRYABLE, code="engine_error", message="x" * 2 * 2**20)
    failed = JobResult(job="j", tenant="t", state=ResultState.FAILED, error=error)
    assert await results(bus).store(failed) is Stored.NOW
    kept = (await stored(bus)).error
    assert kept is not None
    assert (kept.code, kept.message[:9]) == ("engine_error", "x" * 9)
