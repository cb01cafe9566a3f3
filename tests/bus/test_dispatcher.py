"""What a dispatcher does with every kind of job: handed over, answered, or left to the next (A3, E3, G3)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

import pytest
from nats.aio.msg import Msg
from tests.bus.conftest import ADAPTER, Yard
from tests.unit.conftest import make_advert, make_load

from lorayard_dispatcher.dispatcher import Dispatcher
from lorayard_dispatcher.settings import DispatcherSettings
from lorayard_schemas.alias import AliasRecord, Arm, alias_key
from lorayard_schemas.assignment import AssignmentReply, Refusal, RefusalReason
from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.names import subject_token
from lorayard_schemas.result import ErrorKind, ResultState
from lorayard_schemas.routes import RULES_KEY, RouteTable
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.topology import lane_consumer
from lorayard_shared.jobs.asked import Asked
from lorayard_shared.jobs.resolve import Kept, Resolution
from lorayard_shared.lease import LeaseKeeper

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


def job(name: str, prompt: str = "hello", *, deadline: float | None = None) -> Job:
    return Job(id=name, prompt=prompt, deadline=deadline)


async def nothing_left(yard: Yard) -> bool:
    return await yard.left() == 0


async def is_pinned(bus: Bus, lane: Lane) -> bool:
    """Whether the server gives this lane to one dispatcher only."""
    info = await bus.api(f"CONSUMER.INFO.{bus.subjects.stream('jobs')}.{lane_consumer(lane)}")
    return any(group.get("pinned_client_id") for group in info.get("priority_groups") or ())


async def test_a_job_of_the_base_model_is_answered_and_gone_from_the_stream(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(job("j"))
    result = await yard.result("j")
    assert (result.state, result.text, result.tenant) == (ResultState.SUCCEEDED, "hello", "acme")
    assert result.maker is not None
    assert (result.maker.worker, result.maker.adapter, result.maker.rule) == ("w1", None, "base")
    await wait_until(lambda: nothing_left(yard))


async def test_a_json_body_works_like_any_other(yard: Yard) -> None:
    """E1: from any language."""
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(b' {"id": "j", "messages": [{"role": "user", "content": "hi"}]}')
    assert (await yard.result("j")).text == "hi"


async def test_a_tenant_of_any_name_gets_its_answer(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(job("j"), tenant="Ärzte & Co. *>")
    assert (await yard.result("j", tenant="Ärzte & Co. *>")).tenant == "Ärzte & Co. *>"


@pytest.mark.parametrize("newer_first", [False, True])
async def test_of_two_deliveries_of_a_job_the_newer_is_kept(newer_first: bool, bus: Bus) -> None:
    """The other's lease is let go: renewed for a job nobody holds, it would hold the job for ever."""
    leases = LeaseKeeper(bus.settings, name="not started")
    settings = DispatcherSettings.model_validate(bus.settings.model_dump())
    dispatcher = Dispatcher(bus, leases, settings, "d")
    stream = bus.subjects.stream("jobs")
    for deliveries in (2, 1) if newer_first else (1, 2):
        lease = f"$JS.ACK.{stream}.dispatch-normal.{deliveries}.7.9.1700000000000000000.0"
        subject = f"{bus.settings.prefix}.jobs.normal.acme._"
        dispatcher.on_message(Heard(subject.encode(), lease.encode(), None, encode(job("j"))))
    parked = dispatcher.pool.get(f"{stream}-7")
    assert parked is not None
    assert parked.taken.deliveries == 2
    assert (len(dispatcher.pool), len(leases)) == (1, 1)


async def test_a_job_that_cannot_be_dealt_with_is_let_go_of_and_keeps_no_other_waiting(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease would be renewed for ever, for a job that stands in no list."""
    settings = DispatcherSettings.model_validate(bus.settings.model_dump())
    dispatcher = Dispatcher(bus, LeaseKeeper(bus.settings, name="not started"), settings, "d")
    directory = dispatcher.choosing.directory
    resolve = directory.resolve

    def stumbles(asked: Asked, kept: Kept | None = None) -> Resolution:
        if asked.job == "odd":
            raise AssertionError("nobody expected this")
        return resolve(asked, kept)

    def comes(name: str, sequence: int, adapter: str | None = None) -> None:
        lease = f"$JS.ACK.{bus.subjects.stream('jobs')}.dispatch-normal.1.{sequence}.9.1700000000000000000.0"
        subject = (
            f"{bus.settings.prefix}.jobs.normal.acme.{'_' if adapter is None else subject_token(adapter)}"
        )
        body = encode(Job(id=name, prompt="hello"))
        dispatcher.on_message(Heard(subject.encode(), lease.encode(), None, body))

    for sequence, name in enumerate(("odd", "even")):
        comes(name, 7 + sequence, ADAPTER)  # no worker can know it yet
        comes(name, 9 + sequence)
    assert (len(dispatcher.unresolved), len(dispatcher.pool), len(dispatcher.leases)) == (2, 2, 4)
    monkeypatch.setattr(directory, "resolve", stumbles)
    dispatcher.retry_unresolved()
    assert [found.job for found in dispatcher.unresolved] == ["even"]
    assert (len(dispatcher.leases), dispatcher.failures) == (3, 1)
    dispatcher.rerouting.on_rules(RULES_KEY, encode(RouteTable(revision=2)))
    assert [parked.taken.job for parked in dispatcher.pool] == ["even"]
    assert (len(dispatcher.leases), dispatcher.failures) == (2, 2)
    comes("odd", 11)
    assert (len(dispatcher.leases), dispatcher.failures) == (2, 3)


class Silent:
    """A watch that hears nothing."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def catch_up(self) -> None:
        self.asked.set()
        await asyncio.Event().wait()


async def test_misspelt_names_that_wait_for_news_are_not_looked_at_with_every_advert(bus: Bus) -> None:
    settings = DispatcherSettings.model_validate(bus.settings.model_dump())
    dispatcher = Dispatcher(bus, LeaseKeeper(bus.settings, name="not started"), settings, "d")
    dispatcher.fleet.on_advert(make_advert("w1"), time.monotonic())
    watch = Silent()
    dispatcher.late_news.watches = (watch,)
    lease = f"$JS.ACK.{bus.subjects.stream('jobs')}.dispatch-normal.1.7.9.1700000000000000000.0"
    subject = f"{bus.settings.prefix}.jobs.normal.acme.{subject_token(ADAPTER)}"
    dispatcher.on_message(Heard(subject.encode(), lease.encode(), None, encode(job("typo"))))
    assert [one.job for one in dispatcher.unresolved] == ["typo"]
    assert dispatcher.unresolved.take_unknown() == []
    await watch.asked.wait()
    await dispatcher.end()


async def test_jobs_that_cannot_be_sent_take_no_room(bus: Bus) -> None:
    """Room would seem taken until the worker tells of its next job."""
    leases = LeaseKeeper(bus.settings, name="not started")
    settings = DispatcherSettings.model_validate(bus.settings.model_dump())
    dispatcher = Dispatcher(bus, leases, settings, "d")
    now = time.monotonic()
    dispatcher.fleet.on_advert(make_advert("w1", load=make_load("w1", room=4)), now)
    lease = f"$JS.ACK.{bus.subjects.stream('jobs')}.dispatch-normal.1.7.9.1700000000000000000.0"
    subject = f"{bus.settings.prefix}.jobs.normal.acme._"
    dispatcher.on_message(Heard(subject.encode(), lease.encode(), None, encode(job("j"))))
    (parked,) = dispatcher.pool
    unsendable = replace(parked, rule=cast("str", object()))
    dispatcher.sending.hand_to("w1", [unsendable])
    (view,) = dispatcher.fleet.views(now, time.time())
    assert view.room == 3
    await dispatcher.settle()
    (view,) = dispatcher.fleet.views(now, time.time())
    assert (view.room, len(leases), dispatcher.failures) == (4, 0, 1)


async def test_a_job_keeps_its_message_until_a_worker_has_it(bus: Bus) -> None:
    """A worker may hold hundreds of up to half a MiB; one that it refuses is sent again, whole."""
    settings = DispatcherSettings.model_validate(bus.settings.model_dump())
    dispatcher = Dispatcher(bus, LeaseKeeper(bus.settings, name="not started"), settings, "d")
    dispatcher.fleet.on_advert(make_advert("w1", load=make_load("w1", room=4)), time.monotonic())
    subject = f"{bus.settings.prefix}.jobs.normal.acme._"
    for number in (1, 2):
        lease = f"$JS.ACK.{bus.subjects.stream('jobs')}.dispatch-normal.1.{number}.9.1700000000000000000.0"
        dispatcher.on_message(Heard(subject.encode(), lease.encode(), None, encode(job(f"j{number}"))))
    taken, refused = [dispatcher.pool.take(parked.key) for parked in tuple(dispatcher.pool)]
    assert taken is not None
    assert refused is not None

    async def answer(message: Msg) -> None:
        refusals = (Refusal(key=refused.key, reason=RefusalReason.NO_ROOM),)
        load = make_load("w1", number=2, room=3)
        await message.respond(encode(AssignmentReply(refusals=refusals, load=load)))

    await bus.nc.subscribe(bus.subjects.assign("w1"), cb=answer)
    dispatcher.sending.hand_to("w1", [taken, refused])
    await dispatcher.settle()
    assert [held.parked for _, held in dispatcher.fleet.handed()] == [taken]
    (parked,) = dispatcher.pool
    assert (taken.taken.body, parked.taken.body) == (b"", encode(job("j2")))


async def test_how_often_a_job_was_refused_is_known_whatever_changes_elsewhere__d4(bus: Bus) -> None:
    """Or it would never be forced home while somebody shifts the shares of another adapter."""
    settings = DispatcherSettings.model_validate(bus.settings.model_dump())
    dispatcher = Dispatcher(bus, LeaseKeeper(bus.settings, name="not started"), settings, "d")
    lease = f"$JS.ACK.{bus.subjects.stream('jobs')}.dispatch-normal.1.7.9.1700000000000000000.0"
    subject = f"{bus.settings.prefix}.jobs.normal.acme._"
    dispatcher.on_message(Heard(subject.encode(), lease.encode(), None, encode(job("j"))))
    (parked,) = dispatcher.pool
    dispatcher.pool.take(parked.key)
    shifted = AliasRecord(adapter=ADAPTER, alias="stable", revision=1, arms=(Arm(version="1", weight=100.0),))
    dispatcher.rerouting.on_alias(alias_key(ADAPTER, "stable"), encode(shifted))
    dispatcher.park_again(parked.after_refusal())
    (again,) = dispatcher.pool
    assert again.refused == 1
    assert again.chosen_at == dispatcher.choosing.changes > parked.chosen_at


async def test_an_unknown_adapter_is_answered_once_a_worker_could_know(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(job("j"), adapter="a/b/c")
    result = await yard.result("j")
    assert result.error is not None
    assert (result.error.code, result.error.field) == ("unknown_adapter", "adapter")
    assert "'a/b/c'" in result.error.message


async def test_a_job_waits_for_the_first_worker(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    await yard.publish(job("base"))
    await yard.publish(job("unknown"), adapter="a/b/c")

    async def taken() -> bool:
        return (await yard.status()).taken == 2

    await wait_until(taken)
    assert await yard.stored("base") is None
    assert await yard.stored("unknown") is None, "without a worker nobody knows what is unknown"
    await yard.worker()
    assert (await yard.result("base")).state is ResultState.SUCCEEDED
    assert (await yard.result("unknown")).state is ResultState.FAILED


@pytest.mark.parametrize("adapter", [None, "a/b/c"], ids=["parked", "not resolved yet"])
async def test_a_job_that_expires_while_it_waits_never_runs(
    adapter: str | None, yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.publish(job("j", deadline=time.time() + 0.5), adapter=adapter)
    result = await yard.result("j")
    assert (result.state, result.maker) == (ResultState.EXPIRED, None)
    await wait_until(lambda: nothing_left(yard))


async def test_a_job_that_comes_expired_never_runs(yard: Yard) -> None:
    await yard.dispatcher()
    await yard.worker()
    await yard.publish(job("j", deadline=1.0))
    result = await yard.result("j")
    assert (result.state, result.maker) == (ResultState.EXPIRED, None)


async def test_urgent_passes_a_thousand_bulk_jobs(yard: Yard, wait_until: WaitUntil) -> None:
    """B9: one worker with one row; the bulk is there first."""
    await yard.dispatcher()
    for number in range(1000):
        await yard.bus.nc.publish(
            f"{yard.bus.settings.prefix}.jobs.bulk.acme._", encode(job(f"bulk-{number}"))
        )
    await yard.bus.nc.flush()

    async def parked() -> bool:
        return sum(group.jobs for group in (await yard.status()).parked) == 1000

    await wait_until(parked)
    await yard.publish(job("urgent"), lane=Lane.URGENT)

    async def urgent_parked() -> bool:
        return sum(group.jobs for group in (await yard.status()).parked) == 1001

    await wait_until(urgent_parked)
    await yard.worker(rows=1, lookahead=0)
    await yard.result("urgent")
    first = await yard.bus.js.get_msg(yard.bus.subjects.stream("results"), seq=1)
    assert first.subject is not None
    assert first.subject.endswith(".urgent")


async def test_a_window_full_of_bulk_does_not_keep_urgent_jobs_out(yard: Yard, wait_until: WaitUntil) -> None:
    """The window is per lane: with one for all, bulk work would hide everything behind it."""
    window, bulk = 5, 8
    await yard.dispatcher(window=window)
    for number in range(bulk):
        await yard.publish(job(f"bulk-{number}"), lane=Lane.BULK)

    async def full() -> bool:
        return (await yard.status()).taken >= window

    async def only_bulk_left() -> bool:
        return await yard.left() == bulk

    await wait_until(full)
    for number in range(2 * window):  # more than one pull that was asked for before brings
        await yard.publish(job(f"urgent-{number}"), lane=Lane.URGENT)
        await yard.cancel(f"urgent-{number}")
        await wait_until(only_bulk_left)


async def test_a_job_given_out_too_often_is_poison(long_lease_yard: Yard, wait_until: WaitUntil) -> None:
    """G1: what ends whoever takes it must not go round for ever."""
    yard = long_lease_yard
    first = await yard.dispatcher(max_deliveries=2)
    await yard.publish(job("j"))

    async def parked() -> bool:
        return (await yard.status()).taken == 1

    for name in ("d2", "d3"):
        await wait_until(parked)
        await first.stop()
        first = await yard.dispatcher(name, max_deliveries=2)
    result = await yard.result("j")
    assert result.error is not None
    assert (result.error.kind, result.error.code) == (ErrorKind.POISON, "delivered_too_often")
    await wait_until(lambda: nothing_left(yard))


async def test_a_stopped_dispatcher_hands_its_jobs_to_the_next_at_once(
    long_lease_yard: Yard, wait_until: WaitUntil
) -> None:
    """A restart loses nothing, and nobody waits for leases to run out."""
    yard = long_lease_yard
    first = await yard.dispatcher()
    for number in range(20):
        await yard.publish(job(f"j{number}"))

    async def all_parked() -> bool:
        return (await yard.status()).taken == 20

    await wait_until(all_parked)
    await first.stop()
    assert not any([await is_pinned(yard.bus, lane) for lane in Lane]), "the next one waits for no silence"
    await yard.dispatcher("d2")
    await yard.worker()
    states = [(await yard.result(f"j{number}")).state for number in range(20)]
    assert states == [ResultState.SUCCEEDED] * 20
    await wait_until(lambda: nothing_left(yard))
    assert await yard.left("results") == 20


async def test_a_second_dispatcher_takes_over(yard: Yard, wait_until: WaitUntil) -> None:
    """The server elects one; the other stands by."""
    first = await yard.dispatcher("d1")
    await yard.publish(job("before"))
    await yard.dispatcher("d2")
    await yard.worker()
    await yard.result("before")
    await first.stop()
    await yard.publish(job("after"))
    assert (await yard.result("after")).state is ResultState.SUCCEEDED
    await wait_until(lambda: nothing_left(yard))


async def test_the_status_says_what_waits_and_who_is_there(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    await yard.publish(job("j"))

    async def parked() -> bool:
        return bool((await yard.status()).parked)

    await wait_until(parked)
    status = await yard.status()
    assert [(group.adapter, group.jobs) for group in status.parked] == [("base", 1)]
    assert status.workers == ()
    await yard.worker()
    await yard.result("j")
    status = await yard.status()
    assert (status.workers, status.handed_over, status.warm) == (("w1",), 1, 1)
