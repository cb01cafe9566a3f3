"""Schedules over a real server: placed ahead, let go by the server, each occurrence once (E4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import pytest
import structlog

from lorayard import (
    CancelOutcome,
    Client,
    InvalidRequestError,
    ResultState,
    Schedule,
    ScheduledRun,
    ScheduleUnknownError,
    SyncClient,
)
from lorayard_dispatcher.recurring import Recurring
from lorayard_schemas.codec import encode
from lorayard_schemas.job import INLINE_BYTES
from lorayard_schemas.result import JobResult
from lorayard_schemas.schedule import ScheduleState, occurrence_id, plan_key, state_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.listing import list_bucket
from lorayard_shared.logs import Event
from lorayard_shared.registry.records import Author
from lorayard_shared.schedules.calendar import calendar_of
from lorayard_shared.schedules.deciding import Placing
from lorayard_shared.schedules.placing import place
from lorayard_shared.schedules.store import BUCKET, ScheduleStore
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
HOUR = 3600.0


def hourly() -> str:
    """At half an hour from now: none is due as a test looks at the clock twice."""
    return f"{(time.gmtime().tm_min + 30) % 60} * * * *"


class Process(Protocol):
    """A dispatcher or worker of the yard."""

    async def stop(self) -> None: ...


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> Process: ...
    async def worker(self, name: str = "w1", **given: object) -> Process: ...
    async def result(self, job: str, *, tenant: str = "acme") -> JobResult: ...
    async def stored(self, job: str, *, tenant: str = "acme") -> JobResult | None: ...
    async def cancel(self, job: str, *, tenant: str = "acme") -> CancelOutcome: ...
    async def left(self, kind: str = "jobs") -> int: ...


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings, tenant="acme") as client:
        yield client


async def since(bus: Bus, name: str, seconds_ago: float) -> Schedule:
    """Make a schedule as old as that."""
    store = ScheduleStore(bus)
    old = (await store.get("acme", name)).model_copy(update={"since": time.time() - seconds_ago})
    bucket = await bus.js.key_value(bus.subjects.bucket(BUCKET))
    await bucket.put(plan_key("acme", name), encode(old))
    return old


async def keeper(bus: Bus, clock: Callable[[], float] = time.time) -> Recurring:
    """One dispatcher's part alone, with what the bucket holds."""
    made = Recurring(bus, is_active=lambda: True, clock=clock)
    bucket = await bus.js.key_value(bus.subjects.bucket(BUCKET))
    for entry in await list_bucket(bucket):  # nats-py's `keys` may miss what it holds
        made.on_change(entry.key, entry.value)
    return made


async def test_the_next_occurrence_lies_on_the_server_which_lets_it_go_alone__e4(
    yard: Yard, client: Client, wait_until: WaitUntil
) -> None:
    made = await client.schedules.add("digest", "x", cron=hourly(), tz="Europe/Zurich", reason="wanted")
    assert (made.revision, made.why, made.tenant) == (1, "wanted", "acme")
    dispatcher = await yard.dispatcher()

    async def ahead() -> bool:
        return bool(await client.scheduled())

    await wait_until(ahead)
    (waits,) = await client.scheduled()
    view = await client.schedules.get("digest")
    assert (waits.at, waits.job_id) == (view.upcoming[0], occurrence_id("digest", view.upcoming[0]))
    await dispatcher.stop()
    assert await client.scheduled() == [waits]


async def test_several_dispatchers_and_a_fail_over_place_an_occurrence_once__e4(
    bus: Bus, client: Client
) -> None:
    await client.schedules.add("digest", "x", cron="*/10 * * * *", catch_up="all", overlap="queue")
    plan = await since(bus, "digest", 1800)
    now = [plan.since + 1.0]
    both = [await keeper(bus, lambda: now[0]) for _ in range(3)]
    await asyncio.gather(*(one.look() for one in both))
    for step in (601.0, 601.0, 30.0, -300.0, 400.0):
        now[0] += step
        await asyncio.gather(*(one.look() for one in both))
        late = await keeper(bus, lambda: now[0])  # takes over, and knows what the bucket tells
        await late.look()
    state, _ = await ScheduleStore(bus).state("acme", "digest")
    ids = [run.job for run in state.runs]
    assert state.ahead is not None
    assert len(set(ids)) == len(ids)
    waiting = {one.job_id for one in await client.scheduled()}
    depth = await client.queue_depth()
    assert sum(depth.unfinished.values()) + len(waiting) == len(
        {*ids, occurrence_id("digest", state.ahead.at)}
    )


async def test_a_missed_one_is_made_up_and_the_history_tells_of_it__e4(
    yard: Yard, client: Client, bus: Bus, wait_until: WaitUntil
) -> None:
    cron = hourly()
    await client.schedules.add("digest", "x", cron=cron, catch_up="last", max_new_tokens=3)
    await client.schedules.add("broken", "x", cron=cron, catch_up="last", adapter="acme/tiny/none")
    for name in ("digest", "broken"):
        await since(bus, name, 3 * HOUR)
    await yard.worker()
    await yard.dispatcher()

    async def ended(name: str) -> bool:
        runs = await client.schedules.history(name)
        return bool(runs) and runs[0].state is not None

    await wait_until(lambda: ended("digest"))
    await wait_until(lambda: ended("broken"))
    (run,) = await client.schedules.history("digest")
    assert (run.state, run.how, run.at % HOUR) == (
        ResultState.SUCCEEDED,
        "caught_up",
        60.0 * int(cron.split()[0]),
    )
    (failed,) = await client.schedules.history("broken")
    assert (failed.state, failed.code) == (ResultState.FAILED, "unknown_adapter")
    assert (await client.schedules.get("digest")).state.missed in (1, 2)


async def let_go(bus: Bus, plan: Schedule, minutes: list[int]) -> list[str]:
    """Occurrences of a full hour and so many minutes, all due now, as a dispatcher notes them."""
    store, hour = ScheduleStore(bus), time.time() // HOUR * HOUR - HOUR
    moments = [hour + 60 * minute for minute in minutes]
    ids = [occurrence_id(plan.name, at) for at in moments]
    runs = tuple(ScheduledRun(job=job, at=at) for job, at in zip(ids, moments, strict=True))
    await store.change_state(
        "acme",
        plan.name,
        lambda state: state.model_copy(update={"runs": runs, "until": time.time()}),
    )
    for job, at in zip(ids, moments, strict=True):
        state = ScheduleState(name=plan.name, tenant="acme")
        await place(bus, plan, state, Placing(job=job, at=at, due=time.time()))
    return ids


async def test_skip_lets_none_come_while_another_is_at_work__e4(yard: Yard, client: Client, bus: Bus) -> None:
    plan = await client.schedules.add("digest", "x", cron=hourly(), overlap="skip")
    await yard.dispatcher()  # without a worker nothing ends
    first, second = await let_go(bus, plan, [0, 1])
    skipped = await yard.result(second)
    assert (skipped.state, skipped.error and skipped.error.code) == (ResultState.CANCELLED, "overlapped")
    assert await yard.stored(first) is None
    await yard.worker()
    assert (await yard.result(first)).state is ResultState.SUCCEEDED


async def test_queue_has_it_wait_for_the_earlier_one__e4(
    yard: Yard, client: Client, bus: Bus, wait_until: WaitUntil
) -> None:
    plan = await client.schedules.add("digest", "x", cron=hourly(), overlap="queue")
    await yard.dispatcher()
    first, second = await let_go(bus, plan, [0, 1])

    async def waits() -> bool:
        return any(one.job_id == second for one in await client.scheduled())

    await wait_until(waits)
    await yard.worker()
    both = [await yard.result(first), await yard.result(second)]
    assert [one.state for one in both] == [ResultState.SUCCEEDED] * 2
    assert both[0].finished_at <= both[1].finished_at


async def test_replace_cancels_the_earlier_one__e4(yard: Yard, client: Client, bus: Bus) -> None:
    plan = await client.schedules.add("digest", "x", cron=hourly(), overlap="replace")
    await yard.dispatcher()
    first, second = await let_go(bus, plan, [0, 1])
    assert (await yard.result(first)).state is ResultState.CANCELLED
    assert await yard.stored(second) is None
    await yard.worker()
    assert (await yard.result(second)).state is ResultState.SUCCEEDED


async def test_a_paused_or_removed_one_is_withdrawn_though_no_dispatcher_lives__e4(
    bus: Bus, client: Client
) -> None:
    await client.schedules.add("digest", "x", cron=hourly())
    one = await keeper(bus)
    await one.look()
    assert len(await client.scheduled()) == 1
    paused = await client.schedules.pause("digest", reason="too much")
    assert (paused.paused, paused.why, await client.scheduled()) == (True, "too much", [])
    await (await keeper(bus)).look()
    assert await client.scheduled() == []
    await client.schedules.resume("digest")
    await (await keeper(bus)).look()
    assert len(await client.scheduled()) == 1
    await client.schedules.remove("digest")
    assert await client.scheduled() == []
    assert await client.schedules.list() == []
    for verb in (client.schedules.remove, client.schedules.pause, client.schedules.run_now):
        with pytest.raises(ScheduleUnknownError, match="digest"):
            await verb("digest")


async def test_one_that_was_withdrawn_can_be_placed_again_at_once(bus: Bus, client: Client) -> None:
    await client.schedules.add("digest", "x", cron=hourly())
    now = [time.time()]
    one = await keeper(bus, lambda: now[0])
    days = 3 * 24 * HOUR
    for step in (0.0, days, -days, days):  # a clock that is wrong twice
        now[0] += step
        await one.look()
    state, _ = await ScheduleStore(bus).state("acme", "digest")
    assert state.ahead is not None
    assert state.ahead.at > time.time() + days - HOUR
    ahead = occurrence_id("digest", state.ahead.at)
    assert ahead in [waits.job_id for waits in await client.scheduled()]


async def test_one_that_was_placed_as_it_was_taken_away_is_withdrawn_after_all(
    bus: Bus, client: Client
) -> None:
    await client.schedules.add("digest", "x", cron=hourly())
    await (await keeper(bus)).look()
    bucket = await bus.js.key_value(bus.subjects.bucket(BUCKET))
    await bucket.delete(plan_key("acme", "digest"))
    one = Recurring(bus, is_active=lambda: True)
    state, _ = await ScheduleStore(bus).state("acme", "digest")
    one.on_change("state.acme.digest", encode(state))
    await one.look()
    assert await client.scheduled() == []


async def test_run_now_is_one_more_and_stands_in_the_history__e4(yard: Yard, client: Client) -> None:
    await client.schedules.add("digest", "x", cron=hourly(), max_new_tokens=2)
    await client.schedules.pause("digest")
    await yard.dispatcher()
    await yard.worker()
    handle = await client.schedules.run_now("digest")
    assert handle.id.startswith("digest-now-")
    assert (await handle.outcome(60)).state is ResultState.SUCCEEDED
    (run,) = await client.schedules.history("digest")
    assert (run.job, run.how, run.state) == (handle.id, "by_hand", ResultState.SUCCEEDED)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "no dots."}, "name"),
    ({"name": "a" * 41}, "name"),
    ({"cron": "* * * *"}, "cron"),
    ({"tz": "Nowhere/At_all"}, "tz"),
    ({"overlap": "both"}, "overlap"),
    ({"catch_up": "some"}, "catch_up"),
    ({"catch_up_most": 0}, "catch_up_most"),
    ({"jitter_seconds": 3600.0}, "jitter_seconds"),
    ({"end": 1.0}, "end"),
    ({"start": "soon"}, "start"),
    ({"deadline_seconds": -1}, "deadline_seconds"),
    ({"temperature": 99.0}, "temperature"),
    ({"adapter": "No Adapter"}, "adapter"),
    ({"idempotency_key": "k"}, "idempotency_key"),
    ({"delay_seconds": 1}, "delay_seconds"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": "x" * INLINE_BYTES}, "prompt"),
]


async def test_what_cannot_recur_is_refused_by_its_field__e4(client: Client) -> None:
    for given, field in BAD:
        values: dict[str, Any] = {"name": "digest", "prompt": "x", "cron": hourly(), **given}
        name, prompt = values.pop("name"), values.pop("prompt")
        with pytest.raises(InvalidRequestError) as error:
            await client.schedules.add(name, prompt, **values)
        assert error.value.field == field
    assert await client.schedules.list() == []


def test_the_blocking_client_has_the_same_verbs(settings: YardSettings) -> None:
    with SyncClient(settings=settings, tenant="acme") as client:
        client.schedules.add("digest", "x", cron="@daily", overlap="queue")
        with pytest.raises(InvalidRequestError, match="digest"):
            client.schedules.add("digest", "y", cron="@daily")
        client.schedules.add("digest", "y", cron="@weekly", replacing=True)
        (view,) = client.schedules.list()
        assert (view.schedule.cron, view.schedule.revision) == ("@weekly", 2)
        client.schedules.pause("digest")
        assert client.schedules.get("digest").upcoming == ()
        client.schedules.resume("digest")
        handle = client.schedules.run_now("digest")
        assert [run.job for run in client.schedules.history("digest")] == [handle.id]
        client.schedules.remove("digest")
        assert client.schedules.list() == []


async def test_who_changed_it_and_why_is_kept(bus: Bus) -> None:
    async with Client(settings=bus.settings, tenant="acme") as client:
        await client.schedules.add("digest", "x", cron=hourly(), reason="first")
    store = ScheduleStore(bus)
    author = Author(actor="ops", reason="night")
    await store.pause("acme", "digest", author, paused=True, now=time.time())
    stream = bus.subjects.stream("audit")
    last = await bus.js.get_msg(stream, subject=bus.subjects.registry_audit("schedules", "acme/digest", "2"))
    assert b"ops" in (last.data or b"")
    assert b"night" in (last.data or b"")


async def test_records_by_other_hands_stop_no_other_schedule_and_are_told_of__e4(
    bus: Bus, client: Client
) -> None:
    plan = await client.schedules.add("digest", "x", cron=hourly())
    bucket = await bus.js.key_value(bus.subjects.bucket(BUCKET))
    for name, wrong in {"a": {"adapter": ""}, "b": {"adapter": "x" * 5000}, "c": {"cron": "junk"}}.items():
        await bucket.put(plan_key("acme", name), encode(plan.model_copy(update={"name": name, **wrong})))
    await bucket.put(plan_key("acme", "d"), encode(plan))  # a copy under the key of another
    with structlog.testing.capture_logs() as logs:
        mine = await keeper(bus)
        await mine.look()
        await mine.look()
    told = [entry["key"].rpartition(".")[2] for entry in logs if entry["event"] == Event.MESSAGE_MALFORMED]
    assert sorted(told) == ["a", "b", "c", "d"]
    assert [one.job_id for one in await client.scheduled()] == [
        occurrence_id("digest", (await client.schedules.get("digest")).upcoming[0])
    ]


async def test_a_state_under_the_key_of_another_takes_nothing_from_the_one_it_names__e4(
    bus: Bus, client: Client
) -> None:
    await client.schedules.add("digest", "x", cron=hourly())
    await (await keeper(bus)).look()
    store = ScheduleStore(bus)
    state, revision = await store.state("acme", "digest")
    bucket = await bus.js.key_value(bus.subjects.bucket(BUCKET))
    await bucket.put(state_key("acme", "gone"), encode(state))
    await (await keeper(bus)).look()
    assert await store.state("acme", "digest") == (state, revision)
    assert len(await client.scheduled()) == 1


async def test_schedules_of_which_nothing_is_due_are_not_reckoned_again__e4(bus: Bus, client: Client) -> None:
    await client.schedules.add("digest", "x", cron=hourly())
    await client.schedules.add("ends", "x", cron=hourly(), end=time.time() + 2 * HOUR)
    now = [time.time()]
    mine = await keeper(bus, lambda: now[0])
    await mine.look()
    await mine.look()
    asked = calendar_of.cache_info()
    await mine.look()
    assert calendar_of.cache_info() == asked
    now[0] += HOUR
    await mine.look()
    assert calendar_of.cache_info() != asked
    assert len((await ScheduleStore(bus).state("acme", "digest"))[0].runs) == 1


async def test_placing_leaves_no_consumers_behind__e4(bus: Bus, client: Client) -> None:
    await client.schedules.add("digest", "x", cron=hourly())
    now = [time.time()]
    mine = await keeper(bus, lambda: now[0])

    async def consumers() -> int:
        told = await bus.api(f"STREAM.INFO.KV_{bus.subjects.bucket(BUCKET)}")
        return int(told["state"]["consumer_count"])

    before = await consumers()
    for _ in range(3):
        await mine.look()
        now[0] += HOUR
    assert await consumers() == before
    assert len((await ScheduleStore(bus).state("acme", "digest"))[0].runs) == 2
