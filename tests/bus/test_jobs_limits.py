"""Limits of admission on the real bus: who is refused, who waits, and what is counted (E5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import nats.errors
import pytest
from nats.aio.subscription import Subscription
from tests.bus.conftest import Yard

from lorayard import Client, GenerateRequest, JobFailedError, LimitReachedError
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.explanation import ExplainJob, JobExplanation, WaitReason
from lorayard_schemas.job import Job, Sampling
from lorayard_schemas.limit import LimitGossip, SpentHere, limits_key
from lorayard_schemas.result import ErrorKind, JobResult, ResultState
from lorayard_shared.bus.heard import Take
from lorayard_shared.bus.nats_client import NatsClient
from lorayard_shared.settings import YardSettings
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.protocol import OnTokens, Sink
from lorayard_workers.engine.request import GenerationRequest

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings, tenant="acme") as client:
        yield client


async def publish(
    yard: Yard, count: int, *, tenant: str = "acme", first: int = 0, tokens: int = 10
) -> list[str]:
    names = [f"{tenant}-{number}" for number in range(first, first + count)]
    jobs = [Job(id=name, prompt="p", sampling=Sampling(max_new_tokens=tokens)) for name in names]
    # At once, and in this order: rates tell what comes late from what comes with it.
    await asyncio.gather(*(yard.publish(job, tenant=tenant) for job in jobs))
    return names


class Slow(EchoEngine):
    """Answers when it is told to, and from then on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[GenerationRequest, Sink]] | None = []

    def submit(self, request: GenerationRequest, sink: Sink, on_tokens: OnTokens | None = None) -> None:
        if self.asked is None:
            super().submit(request, sink, on_tokens)
        else:
            self.asked.append((request, sink))

    def end(self) -> None:
        waiting, self.asked = self.asked or [], None
        for request, sink in waiting:
            super().submit(request, sink)


async def results(yard: Yard, names: list[str], *, tenant: str = "acme") -> list[JobResult]:
    return [await yard.result(name, tenant=tenant) for name in names]


def refused(found: list[JobResult]) -> list[JobResult]:
    return [one for one in found if one.error is not None and one.error.code == "limit_reached"]


async def test_a_tenant_over_its_rate_is_told_which_limit_and_when_to_come_again__e5(
    yard: Yard, client: Client
) -> None:
    await client.limits.set(tenant="acme", requests_per_minute=3, reason="a trial account")
    await yard.dispatcher()
    await yard.worker()

    found = await results(yard, await publish(yard, 5))
    others = await results(yard, await publish(yard, 5, tenant="other"), tenant="other")

    assert [one.state for one in found] == [ResultState.SUCCEEDED] * 3 + [ResultState.FAILED] * 2
    error = found[-1].error
    assert error is not None
    assert error.limit is not None
    assert error.retry_after_seconds is not None
    assert (error.kind, error.limit.name, error.limit.tenant) == (
        ErrorKind.RETRYABLE,
        "requests_rate",
        "acme",
    )
    assert (error.limit.value, error.limit.per_seconds) == (3, 60)
    assert 0 < error.retry_after_seconds <= 20
    assert "tenant acme may ask for 3 requests a minute; try again in" in error.message
    assert not refused(others)
    await yard.nothing_left()


async def test_a_job_over_a_rate_waits_its_turn_where_the_limit_says_so_and_no_longer__e5(
    yard: Yard, client: Client
) -> None:
    await client.limits.set(tenant="acme", requests_per_minute=60, burst=1, wait_seconds=1, reason="smooth")
    await yard.dispatcher()
    await yard.worker()

    found = await results(yard, await publish(yard, 3))

    assert [one.state.value for one in found] == ["succeeded", "succeeded", "failed"]
    assert found[1].timings.waited_ms > 500
    (last,) = refused(found)
    assert last.error is not None
    assert last.error.retry_after_seconds is not None
    assert 0 < last.error.retry_after_seconds <= 1
    assert (await client.limits.use(tenant="acme")).limits[0].waiting == 0


async def test_a_job_that_waits_for_its_turn_can_be_cancelled_and_explained__e5(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    await client.limits.set(tenant="acme", requests_per_minute=1, wait_seconds=600, reason="smooth")
    await yard.dispatcher()
    await yard.worker()
    first, second = await publish(yard, 2)
    await yard.result(first)
    wish = encode(ExplainJob(tenant="acme", job=second))

    async def held() -> bool:
        reply = await yard.bus.nc.request(yard.bus.subjects.dispatcher("explain"), wish, timeout=30)
        told = decode(JobExplanation, reply.data)
        return (told.reason, told.detail) == (WaitReason.LIMIT, "tenant acme")

    await wait_until(held)
    status = await yard.status()
    assert (status.limits, status.limits_waiting) == (1, 1)
    assert status.limits_tight == ("requests_rate of tenant acme",)
    assert await yard.cancel(second) == "cancelled"
    assert (await yard.result(second)).state is ResultState.CANCELLED


async def test_tokens_are_settled_by_what_a_job_really_used__e5(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    """Each is expected to use 90 of 100 tokens a day, and uses a few: one after the other, all go in."""
    await client.limits.set(tenant="acme", tokens_per_day=100, reason="a trial account")
    await yard.dispatcher()
    await yard.worker()

    async def used() -> float:
        return (await client.limits.use(tenant="acme")).limits[0].uses[0].used

    total = 0
    for number in range(3):
        (result,) = await results(yard, await publish(yard, 1, first=number, tokens=80))
        assert result.state is ResultState.SUCCEEDED
        total += result.usage.prompt_tokens + result.usage.completion_tokens

        async def settled(expected: int = total) -> bool:
            return await used() == pytest.approx(expected)

        await wait_until(settled)
    found = await results(yard, await publish(yard, 2, first=3, tokens=80))
    assert len(refused(found)) == 1


async def test_a_job_that_alone_asks_for_more_than_a_quota_is_told_that_waiting_does_not_help__e5(
    yard: Yard, client: Client
) -> None:
    await client.limits.set(tenant="acme", tokens_per_day=100, reason="a trial account")
    await yard.dispatcher()

    (result,) = await results(yard, await publish(yard, 1, tokens=1000))

    assert result.error is not None
    assert (result.error.kind, result.error.field) == (ErrorKind.PERMANENT, "max_new_tokens")
    assert result.error.retry_after_seconds is None


async def test_no_more_jobs_of_a_tenant_are_pending_than_it_may_have__e5(yard: Yard, client: Client) -> None:
    await client.limits.set(tenant="acme", max_pending=2, reason="one batch at a time")
    await yard.dispatcher()

    names = await publish(yard, 4)  # nobody runs them yet
    assert [one.job for one in refused(await results(yard, names[2:]))] == names[2:]
    await yard.worker()
    assert not refused(await results(yard, names[:2]))

    for number in range(4, 8):  # one after the other: an answered job makes room at once
        assert not refused(await results(yard, await publish(yard, 1, first=number)))


async def test_an_adapter_has_limits_of_its_own_whoever_asks_for_it__e5(yard: Yard, client: Client) -> None:
    await client.limits.set(adapter="base", requests_per_day=3, reason="it is slow")
    await client.limits.set(tenant="acme", adapter="base", requests_per_day=1, reason="and they know")
    await yard.dispatcher()
    await yard.worker()

    ours = await results(yard, await publish(yard, 2))
    others = await results(yard, await publish(yard, 3, tenant="other"), tenant="other")

    reached = [one.error.limit for one in refused([*ours, *others]) if one.error is not None]
    assert [(limit.tenant, limit.adapter, limit.value) for limit in reached if limit is not None] == [
        ("acme", "base", 1),
        (None, "base", 3),
    ]


async def test_a_limit_for_each_tenant_counts_each_by_itself__e5(yard: Yard, client: Client) -> None:
    await client.limits.set(tenant="*", requests_per_day=1, reason="a public yard")
    await client.limits.set(tenant="acme", requests_per_day=3, reason="a paying one")
    dispatcher = await yard.dispatcher()
    await yard.worker()

    counts = {
        tenant: len(refused(await results(yard, await publish(yard, 3, tenant=tenant), tenant=tenant)))
        for tenant in ("acme", "one", "two")
    }

    assert counts == {"acme": 0, "one": 2, "two": 2}
    await dispatcher.stop()
    await yard.dispatcher("d2")  # it has heard of none of them
    again = await results(yard, await publish(yard, 2, tenant="one", first=3), tenant="one")
    assert len(refused(again)) == 2


async def test_a_daily_quota_outlives_its_dispatcher_and_counts_no_job_twice__e5(
    yard: Yard, client: Client
) -> None:
    """Two jobs wait while dispatchers come and go: given out anew, they are not counted anew."""
    await client.limits.set(tenant="acme", requests_per_day=3, reason="a trial account")
    names = await publish(yard, 2)
    for number in range(3):
        dispatcher = await yard.dispatcher(f"d{number}")
        await _parked(yard, 2)
        await dispatcher.stop()
    await yard.dispatcher("last")
    await yard.worker()

    assert not refused(await results(yard, names))
    found = await results(yard, await publish(yard, 2, first=2))
    assert [one.state.value for one in found] == ["succeeded", "failed"]
    report = await client.limits.use(tenant="acme")
    assert (report.limits[0].uses[0].used, report.limits[0].uses[0].refused) == (3, 1)


async def _parked(yard: Yard, count: int) -> None:
    async def waits() -> bool:
        return sum(group.jobs for group in (await yard.status()).parked) == count

    await yard.wait_until(waits)


async def test_a_raised_limit_lets_jobs_in_at_once_and_what_was_used_stays_used__e5(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker()
    await client.limits.set(tenant="acme", requests_per_day=2, reason="a trial account")
    await _known(client, wait_until, 2)
    assert len(refused(await results(yard, await publish(yard, 3)))) == 1

    await client.limits.set(tenant="acme", requests_per_day=3, reason="they asked")
    await _known(client, wait_until, 3)
    assert len(refused(await results(yard, await publish(yard, 2, first=3)))) == 1

    await client.limits.remove(tenant="acme", reason="they pay")
    await _known(client, wait_until, None)
    assert not refused(await results(yard, await publish(yard, 2, first=5)))


async def _known(client: Client, wait_until: WaitUntil, value: float | None) -> None:
    async def known() -> bool:
        limits = (await client.limits.use()).limits
        return (limits[0].uses[0].value if limits else None) == value

    await wait_until(known)


async def test_a_flood_of_refusals_leaves_no_job_unanswered_and_others_go_on__e5(
    yard: Yard, client: Client
) -> None:
    await client.limits.set(tenant="acme", requests_per_day=5, reason="a trial account")
    await yard.dispatcher()
    await yard.worker()
    names = [f"flood-{number}" for number in range(1000)]
    await asyncio.gather(*(yard.publish(Job(id=name, prompt="p"), tenant="acme") for name in names))
    async with Client(settings=yard.settings, tenant="other") as other:
        result = await other.generate("hello", timeout_seconds=60)

    outcomes = await results(yard, names)

    assert result.succeeded
    assert sum(one.state is ResultState.SUCCEEDED for one in outcomes) == 5
    assert len(refused(outcomes)) == 995
    await yard.nothing_left()


async def test_a_flood_of_a_client_is_refused_at_its_own_door_or_by_the_yard__e5(
    yard: Yard, client: Client
) -> None:
    await client.limits.set(tenant="acme", requests_per_day=5, reason="a trial account")
    await yard.dispatcher()
    await yard.worker()
    report = await client.submit_many(GenerateRequest(f"p{number}") for number in range(2000))
    outcomes = [await handle.outcome(timeout_seconds=30) for handle in report.handles]
    assert sum(one.succeeded for one in outcomes) == 5
    assert {type(error) for _, error in report.errors} <= {LimitReachedError}
    assert len(outcomes) + len(report.errors) == 2000


async def test_a_refused_job_raises_what_says_which_limit_and_when__e5(yard: Yard, client: Client) -> None:
    await client.limits.set(tenant="acme", requests_per_day=1, reason="a trial account")
    await yard.dispatcher()
    await yard.worker()
    await client.generate("p", timeout_seconds=20)

    with pytest.raises(LimitReachedError) as raised:
        await client.generate("p", timeout_seconds=20)

    assert isinstance(raised.value, JobFailedError)
    assert raised.value.limit.name == "requests_per_day"
    assert raised.value.retry_after_seconds is not None
    assert 0 < raised.value.retry_after_seconds <= 86_400


async def test_what_piled_up_while_no_dispatcher_lived_is_held_to_what_may_be_pending__e5(
    yard: Yard, client: Client
) -> None:
    await client.limits.set(tenant="acme", max_pending=2, reason="one batch at a time")
    names = await publish(yard, 5)
    await yard.dispatcher()
    assert [one.job for one in refused(await results(yard, names[2:]))] == names[2:]
    await yard.worker()
    assert not refused(await results(yard, names[:2]))
    await yard.nothing_left()


async def test_what_workers_took_by_themselves_is_pending_when_a_dispatcher_is_back__e5(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    await client.limits.set(tenant="acme", max_pending=3, reason="one batch at a time")
    engine = Slow()
    await yard.worker(engine=engine, emergency=True, emergency_after_seconds=0.3)
    taken = await publish(yard, 2)
    await wait_until(lambda: len(engine.asked or ()) == 2)

    async def counted() -> bool:
        return (await client.limits.use(tenant="acme")).limits[0].uses[0].used == expected

    expected = 2
    dispatcher = await yard.dispatcher()
    await wait_until(counted)
    more = await publish(yard, 3, first=2)
    assert [one.job for one in refused(await results(yard, more[1:]))] == more[1:]
    await dispatcher.stop()
    await yard.dispatcher("d2")  # nor does another one forget those that the first has given out
    expected = 3
    await wait_until(counted)
    (late,) = await publish(yard, 1, first=5)
    assert refused(await results(yard, [late]))
    engine.end()
    assert not refused(await results(yard, [*taken, more[0]]))
    for number in range(6, 9):
        assert not refused(await results(yard, await publish(yard, 1, first=number)))


async def test_what_could_not_be_listened_to_at_the_start_is_listened_to_later__e5(
    yard: Yard, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.limits.set(tenant="acme", max_pending=1, reason="one at a time")
    hear, failed = NatsClient.hear, set[str]()

    async def once(self: NatsClient, subject: str, take: Take) -> Subscription:
        if subject.endswith((".limits", ".done.acme.*")) and subject not in failed:
            failed.add(subject)
            raise nats.errors.OutboundBufferLimitError
        return await hear(self, subject, take)

    monkeypatch.setattr(NatsClient, "hear", once)
    await yard.dispatcher()
    await yard.worker()
    assert len(failed) == 2
    told = LimitGossip(
        dispatcher="d9",
        started_at=1.0,
        gates={limits_key("acme", None): SpentHere(spent=(1.0, 0.0, 0.0), pending=(1.0, 0.0, 0.0))},
    )

    async def heard() -> bool:
        await yard.bus.nc.publish(yard.bus.subjects.limit_gossip, encode(told))
        return (await client.limits.use(tenant="acme")).limits[0].uses[0].used == 1.0

    await yard.wait_until(heard)
