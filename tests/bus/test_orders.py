"""What a plan asks of workers beside jobs: once, without waiting, and at no job's cost (C4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg
from tests.bus.conftest import ADAPTER, Yard

from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.orders import AGAIN_SECONDS, MOST_AGAIN_SECONDS, REPEAT_SECONDS, Orders
from lorayard_dispatcher.planning.values import Prefetch
from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import WorkerLoad
from lorayard_schemas.job import Job
from lorayard_schemas.order import OrderOutcome, OrderVerb
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]

NOWHERE = "sha256:" + "0" * 64


class Desk:
    """A dispatcher's orders and what it believes of workers, moved by hand."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.fleet = Fleet("d1")
        self.tasks: list[asyncio.Task[object]] = []
        self.orders = Orders(yard.bus, self.fleet, self.spawn)
        self.heard: list[Msg] = []

    def spawn(self, work: Coroutine[object, object, object], name: str) -> None:
        self.tasks.append(asyncio.create_task(work, name=name))

    async def listen(self, worker: str = "w1") -> None:
        """To every prefetch that a worker is sent."""

        async def hear(message: Msg) -> None:
            self.heard.append(message)

        await self.yard.bus.nc.subscribe(self.yard.bus.subjects.control(worker, "prefetch"), cb=hear)

    async def see(self, worker: str = "w1") -> WorkerAdvert:
        """The worker's advert of now."""
        advert = await self.yard.advert(worker)
        self.fleet.on_advert(advert, 0.0)
        self.orders.on_advert(advert)
        return advert

    def ask(self, *digests: str, worker: str = "w1", now: float = 0.0) -> None:
        self.orders.prefetch([Prefetch(worker=worker, adapter=digest) for digest in digests], now)

    async def answered(self) -> None:
        await asyncio.gather(*self.tasks)

    def fetching(self, worker: str = "w1") -> frozenset[str]:
        (view,) = (view for view in self.fleet.views(0.0, 0.0) if view.worker == worker)
        return view.fetching

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Sent, arrived, failed, dropped."""
        return self.orders.sent, self.orders.arrived, self.orders.failed, self.orders.dropped


@pytest.fixture
async def desk(yard: Yard) -> AsyncIterator[Desk]:
    desk = Desk(yard)
    yield desk
    await desk.answered()


@pytest.fixture
def second(adapters: Path) -> None:
    """One more adapter in the folder."""
    make_tiny_adapter(adapters / ADAPTER / "2", seed=2, targets=("q_proj",))


async def test_an_adapter_is_asked_for_once_until_it_has_arrived__c4(
    desk: Desk, adapters: Path, wait_until: WaitUntil
) -> None:
    await desk.yard.worker(adapters_dir=adapters)
    digest = (await desk.yard.record(ADAPTER)).digest
    await desk.listen()
    await desk.see()
    desk.ask(digest, digest)
    desk.ask(digest)
    assert desk.fetching() == {digest}, "before any answer, so that the next plan knows"
    await desk.answered()
    desk.ask(digest)

    async def arrived() -> bool:
        await desk.see()
        return desk.orders.arrived == 1

    await wait_until(arrived)
    assert desk.counts == (1, 1, 0, 0)
    assert len(desk.heard) == 1
    assert desk.fetching() == frozenset()
    assert digest in (await desk.see()).host
    desk.ask(digest)  # a plan on an old view: the worker says that it is there
    await desk.answered()
    assert desk.counts == (2, 2, 0, 0)


async def test_one_that_the_worker_refuses_is_counted_and_not_asked_for_at_once_again__b6(
    desk: Desk, adapters: Path
) -> None:
    await desk.yard.worker(adapters_dir=adapters)
    good = (await desk.yard.record(ADAPTER)).digest
    await desk.listen()
    await desk.see()
    desk.ask(NOWHERE, good)
    await desk.answered()
    assert desk.counts == (2, 0, 1, 0)
    assert desk.fetching() == {good}
    (view,) = desk.fleet.views(0.0, 0.0)
    assert view.lacks == {NOWHERE}
    desk.ask(NOWHERE, good, now=AGAIN_SECONDS - 0.1)
    await desk.answered()
    assert len(desk.heard) == 1
    desk.ask(NOWHERE, good, now=AGAIN_SECONDS)
    await desk.answered()
    assert len(desk.heard) == 2
    assert desk.counts == (3, 0, 2, 0)
    desk.ask(now=REPEAT_SECONDS)
    assert desk.counts == (3, 0, 2, 1), "the good one was heard of no more"


async def test_one_that_fails_again_and_again_is_asked_for_less_and_less_often__b6(
    desk: Desk, adapters: Path
) -> None:
    await desk.yard.worker(adapters_dir=adapters)
    await desk.see()
    asked: list[float] = []
    for tenths in range(int(10 * 12 * MOST_AGAIN_SECONDS)):
        desk.ask(NOWHERE, now=tenths / 10)
        if desk.orders.sent > len(asked):
            asked.append(tenths / 10)
            await desk.answered()
    pauses = [round(later - sooner, 1) for sooner, later in pairwise(asked)]
    assert pauses[:5] == [AGAIN_SECONDS * factor for factor in (1, 2, 4, 8, 16)]
    assert set(pauses[7:]) == {MOST_AGAIN_SECONDS}
    desk.orders.on_death("w1")
    desk.ask(NOWHERE, now=12 * MOST_AGAIN_SECONDS)
    assert desk.orders.sent == len(asked) + 1, "its next life may have the files"


async def test_one_that_never_arrives_is_told_from_one_on_its_way__c4(
    desk: Desk, adapters: Path, second: None
) -> None:
    await desk.yard.worker(adapters_dir=adapters, echo_disk_seconds=3600.0)
    one, two = [(await desk.yard.record(ADAPTER, version)).digest for version in "12"]
    before = await desk.see()
    desk.ask(one, two)
    await desk.answered()
    desk.orders.on_advert(before)
    assert desk.counts == (2, 0, 0, 0), "an advert from before the order says nothing of it"
    after = before.model_copy(update={"sequence": before.sequence + 1000, "loading": (two,)})
    desk.orders.on_advert(after)
    desk.orders.on_advert(after)
    assert desk.counts == (2, 0, 1, 0)
    assert desk.fetching() == {two}
    again = after.model_copy(update={"epoch": before.epoch + 1, "sequence": 1, "host": (two,), "loading": ()})
    desk.orders.on_advert(again)
    assert desk.counts == (2, 0, 2, 0), "the next life was not asked"


async def test_nobody_is_asked_on_behalf_of_the_dead__g1(desk: Desk, adapters: Path) -> None:
    worker = await desk.yard.worker(adapters_dir=adapters, echo_disk_seconds=3600.0)
    digest = (await desk.yard.record(ADAPTER)).digest
    advert = await desk.see()
    desk.ask(digest)
    desk.ask(digest, worker="nobody")
    await desk.answered()
    assert desk.counts == (1, 0, 0, 1)
    await worker.stop()
    desk.ask(digest, now=REPEAT_SECONDS)  # it is not known to be dead yet
    await desk.answered()
    assert desk.counts == (2, 0, 1, 2)
    desk.fleet.on_death("w1", 0.0)
    desk.orders.on_death("w1")
    desk.ask(digest, now=REPEAT_SECONDS + 0.1)
    assert desk.counts == (2, 0, 1, 3)
    desk.fleet.on_advert(advert.model_copy(update={"epoch": advert.epoch + 1}), 0.0)
    desk.ask(digest, now=REPEAT_SECONDS + 0.1)  # its next life may be asked at once
    await desk.answered()
    assert desk.counts == (3, 0, 2, 3)


async def test_a_worker_that_never_answers_holds_nothing_up__b6(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr("lorayard_dispatcher.orders.ANSWER_SECONDS", 0.05)
    await desk.listen("mute")
    load = WorkerLoad(worker="mute", epoch=1, number=1, room=1)
    advert = WorkerAdvert(
        worker="mute",
        epoch=1,
        sequence=1,
        at=0.0,
        engine="E",
        model="m",
        base_digest=NOWHERE,
        context_tokens=1,
        load=load,
    )
    desk.fleet.on_advert(advert, 0.0)
    desk.ask(NOWHERE, worker="mute")
    assert not desk.tasks[0].done()
    await desk.answered()
    assert desk.counts == (1, 0, 1, 0)
    await wait_until(lambda: len(desk.heard) == 1)
    assert not desk.fetching("mute")


async def test_orders_of_every_kind_can_be_sent_and_are_answered__b8(desk: Desk, adapters: Path) -> None:
    await desk.yard.worker(adapters_dir=adapters)
    digest = (await desk.yard.record(ADAPTER)).digest
    for verb in (OrderVerb.PIN, OrderVerb.UNPIN, OrderVerb.DEDICATE, OrderVerb.UNDEDICATE):
        reply = await desk.orders.ask("w1", verb, (digest,))
        assert [answer.outcome for answer in reply.answers] == [OrderOutcome.QUEUED], verb


async def test_a_cold_adapter_is_staged_while_rows_run_and_its_job_waits_for_no_disk__c4(
    yard: Yard, adapters: Path, second: None, wait_until: WaitUntil
) -> None:
    """The whole way: plan, order, advert, plan."""
    await yard.dispatcher(prewarm_copies=0, early_reads=0)
    ends: dict[str, Any] = {"echo_delay_seconds": 600.0, "drain_seconds": 0.0}
    await yard.worker(adapters_dir=adapters, rows=3, slots=2, echo_disk_seconds=0.1, **ends)
    for name in ("one", "two"):
        await yard.publish(Job(id=name, prompt="p"), adapter=f"{ADAPTER}@1")

    async def runs() -> bool:
        return (await yard.advert()).rows_running == 2

    await wait_until(runs)
    await yard.publish(Job(id="cold", prompt="p", run_limit_seconds=0.1), adapter=f"{ADAPTER}@2")
    cold = await yard.result("cold")
    assert cold.maker is not None
    assert cold.maker.tier == "host"
    status = await yard.status()
    assert (status.prefetches, status.prefetches_arrived, status.prefetches_failed) == (1, 1, 0)


async def test_every_adapter_is_in_host_memory_somewhere_before_the_first_job__c4(
    yard: Yard, adapters: Path, second: None, wait_until: WaitUntil
) -> None:
    """Nobody has asked for any; the first who does waits for no disk, and is not sent past the copy."""
    await yard.dispatcher()
    for name in ("w1", "w2"):
        await yard.worker(name, adapters_dir=adapters, echo_disk_seconds=0.05)
    digests = {(await yard.record(ADAPTER, version)).digest for version in ("1", "2")}

    async def there() -> bool:
        held = [digest for name in ("w1", "w2") for digest in (await yard.advert(name)).host]
        arrived = (await yard.status()).prefetches_arrived  # as far as the dispatcher knows
        return sorted(held) == sorted(digests) and arrived == 2

    await wait_until(there)
    for version in ("1", "2"):
        await yard.publish(Job(id=f"first-{version}", prompt="p"), adapter=f"{ADAPTER}@{version}")
        maker = (await yard.result(f"first-{version}")).maker
        assert maker is not None
        assert maker.tier == "host"
    status = await yard.status()
    assert (status.prefetches, status.prefetches_arrived, status.prefetches_failed) == (2, 2, 0)
