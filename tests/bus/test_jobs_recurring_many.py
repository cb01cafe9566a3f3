"""Many schedules: few questions of the server, and nothing that holds up a loop (E4)."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from lorayard import Client, ResultState, Schedule
from lorayard_cli.app import run_command
from lorayard_dispatcher.recurring import Recurring
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job
from lorayard_schemas.result import JobResult
from lorayard_schemas.schedule import ScheduleState, plan_key, state_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.last_messages import last_messages
from lorayard_shared.bus.listing import list_bucket
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore
from lorayard_shared.schedules.calendar import calendar_of
from lorayard_shared.schedules.deciding import Decision, decide
from lorayard_shared.schedules.store import BUCKET, ScheduleStore
from lorayard_shared.settings import YardSettings

pytestmark = pytest.mark.bus

HOUR = 3600.0


def hourly() -> str:
    """At half an hour from now: none is due as a test looks at the clock twice."""
    return f"{(time.gmtime().tm_min + 30) % 60} * * * *"


@pytest.fixture
async def client(settings: YardSettings) -> AsyncIterator[Client]:
    async with Client(settings=settings, tenant="acme") as client:
        yield client


async def keeper(bus: Bus, clock: Callable[[], float] = time.time) -> Recurring:
    """One dispatcher's part alone, with all that the bucket holds."""
    made = Recurring(bus, is_active=lambda: True, clock=clock)
    for entry in await list_bucket(await bus.js.key_value(bus.subjects.bucket(BUCKET))):
        made.on_change(entry.key, entry.value)
    return made


async def put_many(bus: Bus, count: int, *, tenant: str = "acme") -> None:
    """Schedules by other hands: one write for each."""
    bucket = await bus.js.key_value(bus.subjects.bucket(BUCKET))
    for number in range(count):
        name = f"many{number}"
        job = Job(id=name, prompt="x")
        made = Schedule(name=name, tenant=tenant, cron=hourly(), job=job, since=time.time())
        await bucket.put(plan_key(tenant, name), encode(made))


async def test_a_list_costs_the_same_few_questions_however_long_it_is__e4(
    bus: Bus, client: Client, settings: YardSettings
) -> None:
    await put_many(bus, 30)
    await put_many(bus, 2, tenant="other")
    await (await keeper(bus)).look()
    nc = client._open_link.bus.nc  # pyright: ignore[reportPrivateUsage]  # what it sends is counted
    await client.schedules.list()
    sent: list[int] = []
    for all_tenants in (False, True):
        before = nc.stats["out_msgs"]
        views = await client.schedules.list(all_tenants=all_tenants)
        sent.append(nc.stats["out_msgs"] - before)
        assert len(views) == (32 if all_tenants else 30)
        assert all(view.state.ahead is not None for view in views)
    assert max(sent) < 10
    async with Client(settings=settings, tenant="nobody") as nobody:
        assert await nobody.schedules.list() == []


async def test_what_became_of_many_runs_is_asked_in_one_question__e4(bus: Bus) -> None:
    await put_many(bus, 30)
    now = [time.time()]
    mine = await keeper(bus, lambda: now[0])
    await mine.look()
    now[0] += HOUR
    await mine.look()
    store = ScheduleStore(bus)
    runs = [one.state.runs[-1] for one in await store.list()]
    results = ResultStore(bus, PayloadStore(bus))
    for run in runs:
        ended = JobResult(job=run.job, tenant="acme", state=ResultState.SUCCEEDED, finished_at=1.0)
        await results.store(ended)
    late = await keeper(bus, lambda: now[0])
    before = bus.nc.stats["out_msgs"]
    await late.look()
    assert {one.state.runs[-1].state for one in await store.list()} == {ResultState.SUCCEEDED}
    # A question and a write for each, and one question after all results: no second question for each.
    assert bus.nc.stats["out_msgs"] - before < 2 * len(runs) + 10


async def test_a_schedule_that_goes_while_its_results_are_asked_for_ends_nothing__e4(
    bus: Bus, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.schedules.add("digest", "x", cron=hourly())
    now = [time.time()]
    mine = await keeper(bus, lambda: now[0])
    await mine.look()
    now[0] += HOUR
    await mine.look()
    run = (await store_state(bus)).runs[-1]
    ended = JobResult(job=run.job, tenant="acme", state=ResultState.SUCCEEDED, finished_at=1.0)
    await ResultStore(bus, PayloadStore(bus)).store(ended)
    late = await keeper(bus, lambda: now[0])

    async def asked(bus: Bus, stream: str, subjects: list[str]) -> dict[str, bytes]:
        found = await last_messages(bus, stream, subjects)
        await client.schedules.remove("digest")
        for key in (plan_key("acme", "digest"), state_key("acme", "digest")):
            late.on_change(key, None)
        return found

    monkeypatch.setattr("lorayard_dispatcher.recurring.last_messages", asked)
    await late.look()
    assert await client.schedules.list() == []


async def test_what_was_missed_for_long_is_counted_beside_the_loop__e4(
    bus: Bus, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.schedules.add("digest", "x", cron="* * * * *")
    now = [time.time()]
    mine = await keeper(bus, lambda: now[0])
    await mine.look()
    threads: list[threading.Thread] = []

    def seen(plan: Schedule, state: ScheduleState, at: float) -> Decision:
        threads.append(threading.current_thread())
        return decide(plan, state, at)

    monkeypatch.setattr("lorayard_dispatcher.recurring.decide", seen)
    now[0] += 7 * 24 * HOUR
    await mine.look()
    assert (await store_state(bus)).missed > 9_000
    assert threads
    assert threading.main_thread() not in threads


async def store_state(bus: Bus) -> ScheduleState:
    return (await ScheduleStore(bus).state("acme", "digest"))[0]


async def test_a_clock_that_is_set_back_is_looked_at_anew__e4(bus: Bus, client: Client) -> None:
    now = [time.time() + 3 * HOUR]
    await client.schedules.add("digest", "x", cron=hourly())
    mine = await keeper(bus, lambda: now[0])
    await mine.look()
    await mine.look()
    asked = calendar_of.cache_info()
    now[0] -= 2 * HOUR
    await mine.look()
    assert calendar_of.cache_info() != asked


async def test_the_command_lists_those_of_one_tenant__e4(
    bus: Bus, settings: YardSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    await put_many(bus, 1)
    await put_many(bus, 2, tenant="other")
    where = ("--url", settings.url, "--prefix", settings.prefix, "--json")

    async def listed(*arguments: str) -> list[str]:
        assert await asyncio.to_thread(run_command, ["schedules", "ls", *arguments, *where]) == 0
        return [one["tenant"] for one in json.loads(capsys.readouterr().out)["schedules"]]

    assert await listed() == ["acme", "other", "other"]
    assert await listed("--tenant", "other") == ["other", "other"]
    assert await listed("--tenant", "nobody") == []
