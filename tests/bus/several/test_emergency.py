"""While no dispatcher lives, workers pull by themselves, keep its promises, and stop when one is back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from tests.bus.conftest import ADAPTER
from tests.bus.several.conftest import SeveralYard

from lorayard_schemas.codec import encode
from lorayard_schemas.job import Job, Lane
from lorayard_schemas.order import AdapterOrder
from lorayard_schemas.placement import Placement, placement_key
from lorayard_schemas.result import JobResult, Maker, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import NAK
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.puller import Puller
from lorayard_shared.bus.topology import PIN_GROUP, lane_consumer
from lorayard_shared.bus.watch import BucketWatch, Change
from lorayard_shared.registry.alias_changes import SplitWish
from lorayard_shared.registry.alias_store import AliasStore
from lorayard_shared.registry.records import Author
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

SOON: dict[str, Any] = {"emergency": True, "emergency_after_seconds": 0.3}


async def test_workers_answer_every_lane_without_a_dispatcher_and_say_so__a3_g1(several: SeveralYard) -> None:
    await several.yard.worker("w1", **SOON)
    await several.yard.worker("w2", **SOON)
    names = [name for lane in Lane for name in await several.publish(20, lane=lane)]
    await several.all_answered_once(names)
    for worker in ("w1", "w2"):
        await several.wait_until(lambda worker=worker: _pulls(several, worker))


async def test_they_stop_as_soon_as_a_dispatcher_is_back__a3(several: SeveralYard) -> None:
    await several.yard.worker("w1", **SOON)
    await several.all_answered_once(await several.publish(5))
    assert await _policy(several) == "prioritized"
    await several.yard.dispatcher("d1")
    await several.wait_until(lambda: _pulls_not(several, "w1"))
    await several.wait_until(lambda: several.seats.holders == {0: "d1"})
    await several.wait_until(lambda: _pinned(several))  # which the holder of the seat sees to
    after = await several.publish(10)
    await several.results(after)
    assert (await several.status("d1")).handed_over == 10


async def test_a_dispatcher_that_dies_leaves_nothing_unanswered__g1(several: SeveralYard) -> None:
    first = await several.yard.dispatcher("d1")
    parked = await several.publish(20)
    await several.yard.worker("w1", **SOON)
    await several.results(parked)
    await first.stop()
    await several.all_answered_once([*parked, *await several.publish(20)])


async def test_named_and_default_adapters_are_served_and_strange_ones_refused__b6(
    several: SeveralYard, adapters: Path
) -> None:
    await several.yard.worker("w1", adapters_dir=adapters, default_adapter=ADAPTER, **SOON)
    named = await several.publish(1, adapter=ADAPTER)
    chosen = await several.publish(1)
    strange = await several.publish(1, adapter="acme/tiny/nobody")
    made = [
        (result.maker.adapter, result.maker.rule)
        for result in await several.results([*named, *chosen])
        if result.maker is not None
    ]
    assert made == [(ADAPTER, "explicit"), (ADAPTER, "default")]
    (refused,) = await several.results(strange)
    assert (refused.state, refused.error and refused.error.code) == (ResultState.FAILED, "unknown_adapter")


@pytest.mark.parametrize("named", [ADAPTER, f"{ADAPTER}@stable"])
async def test_a_job_waits_for_the_news_of_what_it_names__d3_d4(
    several: SeveralYard, adapters: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """Without a dispatcher as with one: what is written already is heard before anybody is refused."""
    asked = asyncio.Event()

    class Late(BucketWatch):
        """Hears of nothing until it is to catch up."""

        async def run(self) -> None:
            if self._bucket.rpartition("_")[2] in ("adapters", "aliases"):
                self.ready.set()
                await asked.wait()
            await super().run()

        async def catch_up(self) -> None:
            asked.set()
            await super().catch_up()

    def watch(bus: Bus, kind: str, change: Change) -> BucketWatch:
        return Late(bus, bus.subjects.bucket(kind), change)

    monkeypatch.setattr("lorayard_workers.service.emergency.watch_from_worker", watch)
    await several.yard.worker("w1", adapters_dir=adapters, **SOON)
    wish = SplitWish(adapter=ADAPTER, alias="stable", weights=(("1", 100.0),))
    served = {"1": await several.yard.record(ADAPTER)}
    await AliasStore(several.bus).split(wish, served, Author(actor="ana"))
    (result,) = await several.results(await several.publish(1, adapter=named))
    assert _maker(result).adapter == ADAPTER


async def test_workers_go_by_the_default_of_the_dispatcher_they_heard_last__b1(
    several: SeveralYard, adapters: Path
) -> None:
    dispatcher = await several.yard.dispatcher("d1", default_adapter=ADAPTER)
    await several.yard.worker("w1", adapters_dir=adapters, **SOON)
    await several.results(await several.publish(1))
    await dispatcher.stop()
    (result,) = await several.results(await several.publish(1))
    assert _maker(result).adapter == ADAPTER


@pytest.mark.usefixtures("patient_looks")
async def test_expired_cancelled_and_unreadable_jobs_end_as_they_would__g1(several: SeveralYard) -> None:
    dispatcher = await several.yard.dispatcher("d1")
    assert await several.yard.cancel("unseen") == "unknown"
    await dispatcher.stop()
    await several.yard.publish(Job(id="late", prompt="say", deadline=time.time() - 1.0))
    await several.yard.publish(Job(id="unseen", prompt="say"))
    await several.yard.publish(b"no job at all")
    await several.yard.worker("w1", **SOON)
    results = await several.results(["late", "unseen"])
    assert [result.state for result in results] == [ResultState.EXPIRED, ResultState.CANCELLED]
    await several.wait_until(lambda: _left(several, 0))
    assert len(await several.yard.dead_letters()) == 1
    assert (await several.yard.advert("w1")).counters.jobs_succeeded == 0


async def test_who_is_warm_gets_the_job_whoever_pulls_it__a3(several: SeveralYard, tmp_path: Path) -> None:
    homes = {"acme/tiny/a": "w1", "acme/tiny/b": "w2"}
    for seed, name in enumerate(homes):
        make_tiny_adapter(tmp_path / "warm" / name / "1", seed=seed, targets=("q_proj",))
    for worker in homes.values():
        await several.yard.worker(worker, adapters_dir=tmp_path / "warm", slots=2, **SOON)
        await several.wait_until(lambda worker=worker: _pulls(several, worker))
    for name, worker in homes.items():
        await _pin(several, worker, name)
    for name, worker in homes.items():
        for _ in range(4):
            (result,) = await several.results(await several.publish(1, adapter=name))
            assert _maker(result).worker == worker


async def test_what_only_another_can_serve_is_handed_to_it__b6(
    long_lease_several: SeveralYard, adapters: Path
) -> None:
    several = long_lease_several
    await several.yard.worker("w2", **SOON)
    await several.wait_until(lambda: _pulls(several, "w2"))
    await several.yard.worker("w1", adapters_dir=adapters, **SOON)
    await several.wait_until(lambda: _pulls(several, "w1"))  # long after the other has heard of it
    jobs = await several.publish(10, adapter=ADAPTER)
    await several.all_answered_once(jobs)
    assert {_maker(result).worker for result in await several.results(jobs)} == {"w1"}


async def test_a_job_given_out_again_and_again_waits_for_a_dispatcher__g1(
    long_lease_several: SeveralYard,
) -> None:
    """It may end whoever runs it, and only a dispatcher counts the deaths of workers; it gets it at once."""
    several = long_lease_several
    (suspect,) = await several.publish(1)
    await _give_out(several, times=6)
    await several.yard.worker("w1", **SOON)
    await several.results(await several.publish(1))
    assert await several.yard.stored(suspect) is None
    await several.yard.dispatcher("d1")
    await several.results([suspect])


async def test_a_job_that_is_cancelled_is_not_run_and_a_running_one_ends__a3(several: SeveralYard) -> None:
    """Whoever pulls answers for a dispatcher."""
    await several.yard.worker("w1", rows=1, lookahead=0, echo_delay_seconds=3600.0, **SOON)
    await several.yard.worker("w2", rows=1, lookahead=0, echo_delay_seconds=3600.0, **SOON)
    for worker in ("w1", "w2"):
        await several.wait_until(lambda worker=worker: _pulls(several, worker))
    names = await several.publish(8)
    await several.wait_until(lambda: _held(several, 2))
    assert {await several.yard.cancel(name) for name in names} == {"cancelled"}
    assert {result.state for result in await several.results(names)} == {ResultState.CANCELLED}
    assert await several.yard.cancel(names[0]) == "finished"
    await several.wait_until(lambda: _left(several, 0))
    for worker in ("w1", "w2"):
        assert (await several.yard.advert(worker)).counters.jobs_succeeded == 0


@pytest.mark.parametrize("only", [True, False])
async def test_declarations_say_where_an_adapter_is_served__b7(
    several: SeveralYard, adapters: Path, only: bool
) -> None:
    placements = await several.bus.js.key_value(several.bus.subjects.bucket("placements"))
    wish = Placement(adapter=ADAPTER, on=("zone=there",), only=only)
    await placements.put(placement_key(ADAPTER), encode(wish))
    await several.yard.worker("w1", adapters_dir=adapters, **SOON)
    (waits,) = await several.publish(1, adapter=ADAPTER)
    if only:
        await several.results(await several.publish(5))
        assert await several.yard.stored(waits) is None, "it waits for whom it is for"
    else:
        await several.results([waits])
    await several.yard.worker("w2", adapters_dir=adapters, labels={"zone": "there"}, **SOON)
    await several.wait_until(lambda: _pulls(several, "w2"))
    more = await several.publish(10, adapter=ADAPTER)
    assert {_maker(result).worker for result in await several.results(more)} == {"w2"}
    await several.results([waits])


async def test_a_consumer_that_somebody_deletes_meanwhile_is_made_again__g1(several: SeveralYard) -> None:
    await several.yard.worker("w1", **SOON)
    await several.wait_until(lambda: _pulls(several, "w1"))
    stream = several.bus.subjects.stream("jobs")
    await several.bus.api(f"CONSUMER.DELETE.{stream}.{lane_consumer(Lane.NORMAL)}")
    await several.all_answered_once(await several.publish(5))


async def _give_out(several: SeveralYard, *, times: int) -> None:
    """Take the normal lane's one job and give it back, so often."""
    leases = asyncio.Queue[str]()
    heard: list[str] = []

    def hear(message: Heard) -> None:
        heard.append(message.reply)
        leases.put_nowait(message.reply)

    puller = Puller(
        several.bus,
        stream=several.bus.subjects.stream("jobs"),
        consumer=lane_consumer(Lane.NORMAL),
        group=PIN_GROUP,
        room=lambda: int(len(heard) < times),  # by what has come: one more would be lost with its long lease
        on_message=hear,
    )
    pulling = asyncio.create_task(puller.run())
    for _ in range(times):
        await several.bus.nc.publish(await leases.get(), NAK)
    pulling.cancel()
    await asyncio.wait([pulling])
    while not leases.empty():  # given out behind the last
        await several.bus.nc.publish(leases.get_nowait(), NAK)
    await puller.step_down()


async def _pulls(several: SeveralYard, worker: str) -> bool:
    return (await several.yard.advert(worker)).emergency


async def _pulls_not(several: SeveralYard, worker: str) -> bool:
    return not await _pulls(several, worker)


async def _held(several: SeveralYard, jobs: int) -> bool:
    """Whether the two workers hold so many."""
    adverts = [await several.yard.advert(worker) for worker in ("w1", "w2")]
    return sum(len(advert.load.holding) for advert in adverts) == jobs


async def _left(several: SeveralYard, jobs: int) -> bool:
    return await several.yard.left() == jobs


def _maker(result: JobResult) -> Maker:
    assert result.maker is not None
    return result.maker


async def _pin(several: SeveralYard, worker: str, adapter: str) -> None:
    """Have an adapter in a slot of one worker."""
    digest = (await several.yard.record(adapter)).digest
    order = encode(AdapterOrder(digests=(digest,)))
    await several.bus.nc.request(several.bus.subjects.control(worker, "pin"), order, timeout=30)

    async def shown() -> bool:
        return digest in {slot.digest for slot in (await several.yard.advert(worker)).slots}

    await several.wait_until(shown)


async def _pinned(several: SeveralYard) -> bool:
    return await _policy(several) == "pinned_client"


async def _policy(several: SeveralYard) -> str:
    stream = several.bus.subjects.stream("jobs")
    info = await several.bus.api(f"CONSUMER.INFO.{stream}.{lane_consumer(Lane.NORMAL)}")
    return str(info["config"]["priority_policy"])
