"""What a publisher sees who asks for more than there is room for, and how it waits (E5, E2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.bus.conftest import Yard

from lorayard import (
    Client,
    GenerateRequest,
    InvalidRequestError,
    JobFailedError,
    LimitReachedError,
    SyncClient,
    YardFullError,
)
from lorayard_schemas.limit import ReachedLimit
from lorayard_shared.bus.connection import connect
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

MIB = 2**20
WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings, tenant="acme") as client:
        yield client


async def published(yard: Yard) -> int:
    info = await yard.bus.api(f"STREAM.INFO.{yard.bus.subjects.stream('jobs')}")
    return int(info["state"]["last_seq"])


async def refused_by_the_yard(client: Client, **options: object) -> None:
    with pytest.raises(JobFailedError, match="may ask for 1 requests a day"):
        await client.generate("p", timeout_seconds=20, **options)  # type: ignore[arg-type]


async def test_what_would_surely_be_refused_is_not_even_sent__e5(yard: Yard, client: Client) -> None:
    await client.limits.set(tenant="acme", requests_per_day=1, reason="a trial account")
    await yard.dispatcher()
    await yard.worker()
    first = await client.submit("p", idempotency_key="once")
    await first.result(20)
    await refused_by_the_yard(client)
    before = await published(yard)

    with pytest.raises(LimitReachedError) as raised:
        await client.submit("p")

    assert not isinstance(raised.value, JobFailedError)
    assert raised.value.limit == ReachedLimit(name="requests_per_day", tenant="acme", value=1, used=1)
    assert raised.value.retry_after_seconds is not None
    assert await published(yard) == before
    same = await client.submit("p", idempotency_key="once")
    assert (same.id, same.existing) == (first.id, True)
    async with Client(settings=yard.settings, tenant="other") as other:
        assert (await other.generate("p", timeout_seconds=20)).succeeded


async def test_a_door_opens_as_soon_as_a_limit_is_raised__e5(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    await client.limits.set(tenant="acme", requests_per_day=1, reason="a trial account")
    await yard.dispatcher()
    await yard.worker()
    await client.generate("p", timeout_seconds=20)
    await refused_by_the_yard(client)
    await client.limits.remove(tenant="acme", reason="they pay")

    async def open_again() -> bool:
        try:
            return (await client.generate("p", timeout_seconds=20)).succeeded
        except LimitReachedError:
            return False

    await wait_until(open_again)


async def test_only_jobs_of_the_adapter_that_is_limited_are_kept_back__e5(yard: Yard, client: Client) -> None:
    await client.limits.set(tenant="acme", adapter="base", requests_per_day=1, reason="it is slow")
    await yard.dispatcher()
    await yard.worker()
    await client.generate("p", timeout_seconds=20, adapter="base")
    with pytest.raises(JobFailedError):
        await client.generate("p", timeout_seconds=20, adapter="base")
    with pytest.raises(LimitReachedError):
        await client.submit("p", adapter="base")
    with pytest.raises(JobFailedError, match="is not"):  # it goes to the yard, which does not know it
        await client.generate("p", timeout_seconds=20, adapter="acme/tiny/nowhere")


async def test_a_publisher_may_wait_for_room_and_gives_up_where_that_is_in_vain__e5(
    yard: Yard, client: Client
) -> None:
    # Before there is a dispatcher: to one that runs already limits come on another way than jobs.
    await client.limits.set(tenant="acme", requests_per_minute=120, burst=1, reason="smooth")
    await client.limits.set(tenant="other", requests_per_day=1, reason="a trial account")
    await yard.dispatcher()
    await yard.worker()
    for _ in range(3):
        assert (await client.generate("p", timeout_seconds=20, wait_for_room_seconds=30)).succeeded

    async with asyncio.timeout(50):  # a day would be too long, and that is known before its 60 s are over
        async with Client(settings=yard.settings, tenant="other") as other:
            await other.generate("p", timeout_seconds=20)
            with pytest.raises(LimitReachedError):
                await other.generate("p", timeout_seconds=20, wait_for_room_seconds=60)
            report = await other.submit_many([GenerateRequest("p")] * 2, wait_for_room_seconds=60)
    assert {type(error) for _, error in report.errors} == {LimitReachedError}


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "soon"])
async def test_a_time_that_nobody_can_wait_is_refused__e5(client: Client, seconds: float) -> None:
    with pytest.raises(InvalidRequestError, match="wait_for_room_seconds"):
        await client.submit("p", wait_for_room_seconds=seconds)


async def test_the_blocking_client_sees_and_sets_the_same__e5(yard: Yard) -> None:
    def limit() -> None:
        with SyncClient(settings=yard.settings, tenant="acme") as client:
            made = client.limits.set(tenant="acme", requests_per_day=1, reason="a trial account").limits
            assert client.limits.list() == [made]

    def use() -> None:
        with SyncClient(settings=yard.settings, tenant="acme") as client:
            client.generate("p", timeout_seconds=20, wait_for_room_seconds=5)
            with pytest.raises(LimitReachedError):
                client.generate("p", timeout_seconds=20)
            with pytest.raises(LimitReachedError):
                client.submit("p", wait_for_room_seconds=0.1)
            assert client.limits.use(tenant="acme").limits[0].uses[0].used == 1
            assert client.limits.remove(tenant="acme") is None

    await asyncio.to_thread(limit)
    await yard.dispatcher()
    await yard.worker()
    await asyncio.to_thread(use)


async def test_a_publisher_to_a_full_yard_waits_until_there_is_room__e5(
    make_settings: Callable[..., Awaitable[YardSettings]], wait_until: WaitUntil
) -> None:
    settings = await make_settings(jobs_max_bytes=MIB)
    async with (
        await connect(settings, name="test") as bus,
        Client(settings=settings, tenant="acme") as client,
    ):
        yard = Yard(settings, bus, wait_until)
        report = await client.submit_many([GenerateRequest("x" * (MIB // 10))] * 30)
        assert {type(error) for _, error in report.errors} == {YardFullError}
        await yard.dispatcher()
        waits = asyncio.create_task(client.submit("x" * (MIB // 10), wait_for_room_seconds=60))
        await yard.worker()
        assert (await (await waits).result(20)).succeeded
        await yard.stop()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"requests_per_second": -1}, "requests_per_second"),
        ({"requests_per_minute": float("nan")}, "requests_per_minute"),
        ({"requests_per_second": 1, "requests_per_minute": 1}, "requests_per_minute"),
        ({"burst": 5}, "burst"),
        ({"tokens_per_second": 1, "burst_tokens": -5}, "burst_tokens"),
        ({"wait_seconds": 5, "max_pending": 1}, "wait_seconds"),
        ({"tokens_per_day": 1e30}, "tokens_per_day"),
        ({"max_pending": 0}, "max_pending"),
        ({"max_pending_tokens": "many"}, "max_pending_tokens"),
        ({"requests_per_fortnight": 1}, "requests_per_fortnight"),
        ({}, "limits"),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_by_its_name_and_changes_nothing__e5(
    client: Client, options: dict[str, float], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        await client.limits.set(tenant="acme", reason="why not", **options)  # type: ignore[arg-type]
    assert raised.value.field == field
    assert await client.limits.list() == []


async def test_a_limit_needs_somebody_and_a_reason__e5(client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="reason"):
        await client.limits.set(tenant="acme", max_pending=1, reason="")
    with pytest.raises(InvalidRequestError, match="name a tenant"):
        await client.limits.set(max_pending=1, reason="why not")
    with pytest.raises(InvalidRequestError, match="one version"):
        await client.limits.set(adapter="acme/tiny/a@1", max_pending=1, reason="why not")
    change = await client.limits.set(adapter="acme/tiny/typo", max_pending=1, reason="why not")
    assert not change.registered


async def test_two_operators_at_once_both_get_their_way__e5(client: Client) -> None:
    await asyncio.gather(
        client.limits.set(tenant="acme", requests_per_day=10, reason="one"),
        client.limits.set(tenant="acme", max_pending=5, reason="the other"),
        client.limits.set(tenant="acme", tokens_per_second=100, burst_tokens=500, reason="and a third"),
    )
    (limits,) = await client.limits.list()
    assert set(limits.names) == {"requests_per_day", "max_pending", "tokens_rate"}

    left = await client.limits.remove("requests_per_day", "tokens_rate", tenant="acme", reason="enough")
    assert left is not None
    assert left.names == ("max_pending",)
