"""Workers that lie, hang, repeat themselves or come in crowds: no job is lost, none done twice (B6, G2)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from tests.bus.conftest import ADAPTER, Yard

from lorayard_schemas.advert import SlotAdvert, WorkerAdvert
from lorayard_schemas.assignment import (
    AssignedJob,
    Assignment,
    AssignmentReply,
    Refusal,
    RefusalReason,
    WorkerLoad,
)
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job, JobStub
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import ACK
from lorayard_shared.process import end_tasks
from lorayard_workers.engine.echo import EchoEngine
from lorayard_workers.engine.protocol import Residency
from lorayard_workers.tiny_model import make_tiny_adapter

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]
Answer = Callable[[AssignedJob], RefusalReason | None]

BEAT_SECONDS = 0.3


class Impostor:
    """A worker in name only: what it says of itself and what it answers is up to the test."""

    def __init__(self, bus: Bus, name: str = "a-liar", **said: object) -> None:
        self.bus = bus
        self.name = name
        self.epoch = time.time_ns()
        self.said = said
        self.answer: Answer = lambda _: None
        self.claims_room = 50
        self.accepted: list[AssignedJob] = []
        self.refused: list[AssignedJob] = []
        self.holding: tuple[str, ...] = ()
        self.works = False
        self._numbers = itertools.count(1)
        self._seen: dict[str, int] = {}

    async def start(self) -> None:
        await self.bus.nc.subscribe(self.bus.subjects.assign(self.name), "q", cb=self._assigned)
        await self.beat()

    async def beat(self, key: str | None = None, said: Mapping[str, object] | None = None) -> None:
        """Write an advert, as a rule under its own key."""
        await self.write(encode(self.advert().model_copy(update={**(said or {})})), key=key)

    def advert(self) -> WorkerAdvert:
        """The next one."""
        advert = WorkerAdvert(
            worker=self.name,
            epoch=self.epoch,
            sequence=next(self._numbers),
            at=time.time(),
            engine="none",
            model="none",
            base_digest=EchoEngine().base_digest,
            context_tokens=1,
            slot_count=4,
            rows_max=4,
            load=self.load(),
        )
        return advert.model_copy(update=self.said)

    async def write(self, value: bytes, *, key: str | None = None) -> None:
        await self.bus.nc.publish(f"$KV.{self.bus.subjects.bucket('workers')}.{key or self.name}", value)

    async def beats(self) -> None:
        """Beat until cancelled."""
        while True:
            await self.beat()
            await asyncio.sleep(BEAT_SECONDS)

    def load(self) -> WorkerLoad:
        return WorkerLoad(
            worker=self.name,
            epoch=self.epoch,
            number=next(self._numbers),
            seen=dict(self._seen),
            room=self.claims_room,
            holding=self.holding,
        )

    async def _assigned(self, message: Msg) -> None:
        sent = decode(Assignment, message.data)
        self._seen[sent.dispatcher] = sent.number
        refusals: list[Refusal] = []
        for job in sent.jobs:
            stale = sent.epoch != self.epoch
            reason = RefusalReason.STALE_EPOCH if stale else self.answer(job)
            if reason is not None:
                refusals.append(Refusal(key=job.key, reason=reason))
                self.refused.append(job)
            else:
                self.accepted.append(job)
        await message.respond(encode(AssignmentReply(refusals=tuple(refusals), load=self.load())))
        refused = {refusal.key for refusal in refusals}
        for job in sent.jobs:
            if self.works and job.key not in refused:
                await self._do(job)

    async def _do(self, job: AssignedJob) -> None:
        address = self.bus.subjects.parse_job(job.subject)
        name = decode(JobStub, job.body).id
        result = JobResult(job=name, tenant=address.tenant, state=ResultState.SUCCEEDED, text=self.name)
        await self.bus.js.publish(self.bus.subjects.result(address.tenant, name), encode(result))
        await self.bus.nc.publish(job.lease, ACK)


@pytest.fixture
async def beating() -> AsyncIterator[Callable[[Impostor], Awaitable[None]]]:
    """Starts impostors that beat until the test is over."""
    tasks: list[asyncio.Task[None]] = []

    async def start(impostor: Impostor) -> None:
        await impostor.start()
        tasks.append(asyncio.create_task(impostor.beats(), name=f"beats-{impostor.name}"))

    yield start
    await end_tasks(tasks)


Beating = Callable[[Impostor], Awaitable[None]]


async def publish(yard: Yard, count: int, *, adapter: str | None = None) -> list[str]:
    names = [f"j{number}" for number in range(count)]
    for name in names:
        await yard.publish(Job(id=name, prompt=name), adapter=adapter)
    return names


async def all_done_once(yard: Yard, names: Sequence[str], wait_until: WaitUntil) -> Counter[str]:
    """Every job has succeeded, with one result, and is gone from the stream; how many each worker made."""
    results = [await yard.result(name) for name in names]
    assert {result.state for result in results} == {ResultState.SUCCEEDED}

    async def gone() -> bool:
        return await yard.left() == 0

    await wait_until(gone)
    assert await yard.left("results") == len(names)
    return Counter(result.maker.worker if result.maker else str(result.text) for result in results)


# ---- adverts that lie


async def test_an_adapter_that_is_only_claimed_costs_a_message__b6(
    yard: Yard, adapters: Path, beating: Beating, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=adapters)
    digest = (await yard.record(ADAPTER)).digest
    liar = Impostor(yard.bus, slots=(SlotAdvert(digest=digest, pinned=True),))
    liar.answer = lambda _: RefusalReason.UNKNOWN_ADAPTER
    await beating(liar)

    async def known() -> bool:
        return len((await yard.status()).workers) == 2

    await wait_until(known)
    makers = await all_done_once(yard, await publish(yard, 30, adapter=ADAPTER), wait_until)
    assert makers == {"w1": 30}
    status = await yard.status()
    assert status.refused_for == {"unknown_adapter": len(liar.refused)}
    assert liar.refused


async def test_room_that_is_only_claimed_costs_a_message_per_beat__b6(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    liar = Impostor(yard.bus)
    liar.answer = lambda _: RefusalReason.NO_ROOM
    await beating(liar)
    names = await publish(yard, 30)
    await wait_until(lambda: len(liar.refused) > 30)
    await yard.worker("w1")
    makers = await all_done_once(yard, names, wait_until)
    assert makers == {"w1": 30}


async def test_a_job_refused_twice_is_sent_with_force_and_not_lost__b6(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """The worker is full whenever it is asked, and free whenever it reports."""
    await yard.dispatcher()
    full = Impostor(yard.bus)
    full.works = True
    full.answer = lambda job: None if job.force else RefusalReason.NO_ROOM
    await beating(full)
    makers = await all_done_once(yard, await publish(yard, 5), wait_until)
    assert makers == {"a-liar": 5}
    assert [job.force for job in full.accepted] == [True] * 5
    assert Counter(job.key for job in full.refused) == {job.key: 2 for job in full.accepted}


async def test_an_advert_that_speaks_for_another_worker_takes_nothing_from_it__g3(
    yard: Yard, wait_until: WaitUntil
) -> None:
    """It would end a life that goes on: its jobs would be given out a second time."""
    await yard.dispatcher()
    await yard.worker("w1", echo_delay_seconds=0.5)
    names = await publish(yard, 8)

    async def all_there() -> bool:
        return len((await yard.advert()).load.holding) == 8

    await wait_until(all_there)
    liar = Impostor(yard.bus, "w1")
    await liar.beat(key="x")

    async def told() -> bool:
        return "x" in (await yard.status()).unread_adverts

    await wait_until(told)
    assert "'w1' stands under the key of 'x'" in (await yard.status()).unread_adverts["x"]
    assert await all_done_once(yard, names, wait_until) == {"w1": 8}
    status = await yard.status()
    assert (status.workers, status.handed_over) == (("w1",), 8)


@pytest.mark.parametrize("said", [{"load_ms_host": float("nan")}, {"slot_count": -1}, {"epoch": 2**63}])
async def test_an_advert_with_impossible_numbers_is_named_and_not_believed__g3(
    said: dict[str, object], yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await Impostor(yard.bus).beat(said=said)

    async def told() -> bool:
        (field,) = said
        return field in (await yard.status()).unread_adverts.get("a-liar", "")

    await wait_until(told)
    await yard.worker("w1")
    assert await all_done_once(yard, await publish(yard, 5), wait_until) == {"w1": 5}


async def test_a_worker_that_boasts_gets_no_more_than_it_takes(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    liar = Impostor(yard.bus, slot_count=2**62, rows_max=2**62, load_ms_host=1e300)
    liar.claims_room = 2**62
    liar.answer = lambda _: RefusalReason.NO_ROOM if len(liar.accepted) >= 3 else None
    liar.works = True
    await beating(liar)
    await yard.worker("w1")
    makers = await all_done_once(yard, await publish(yard, 30), wait_until)
    assert makers["a-liar"] <= 3


async def test_adverts_that_go_backwards_and_repeat_change_nothing(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """A bucket is listed again after a reconnect, messages may be late, and a life may be over."""
    await yard.dispatcher()
    worker = Impostor(yard.bus)
    worker.works = True
    first = worker.advert()
    life = {"epoch": first.epoch - 1}
    over = first.model_copy(update={**life, "load": first.load.model_copy(update=life)})
    await beating(worker)
    names = await publish(yard, 20)
    for number in range(20, 60):
        await worker.write(encode(first))
        await worker.write(encode(over))
        names.append(f"j{number}")
        await yard.publish(Job(id=names[-1], prompt="x"))
    assert await all_done_once(yard, names, wait_until) == {"a-liar": 60}
    assert worker.refused == [], "nothing was given to a life that is over"
    assert len(worker.accepted) == 60


# ---- two under one name


async def test_two_workers_under_one_name_lose_and_double_nothing(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """Each request reaches one of the two, as chance will: the wrong one refuses another's life."""
    await yard.dispatcher()
    older, newer = Impostor(yard.bus, "twin"), Impostor(yard.bus, "twin")
    for twin in (older, newer):
        twin.works = True
        await beating(twin)
    makers = await all_done_once(yard, await publish(yard, 30), wait_until)
    assert makers == {"twin": 30}
    accepted = [job.key for twin in (older, newer) for job in twin.accepted]
    assert len(accepted) == len(set(accepted))


# ---- accepted, and never heard of again


@pytest.mark.parametrize("says_so", [True, False], ids=["says that it holds them", "says nothing"])
async def test_what_a_worker_accepts_and_never_renews_is_done_elsewhere__g2(
    says_so: bool, yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """The server gives it out again when its lease has run out; who let it go comes last for a while."""
    await yard.dispatcher()
    hung = Impostor(yard.bus)
    await beating(hung)
    names = await publish(yard, 3)
    await wait_until(lambda: len(hung.accepted) >= 3)
    hung.holding = tuple({job.key for job in hung.accepted}) if says_so else ()
    await yard.worker("w1")
    assert await all_done_once(yard, names, wait_until) == {"w1": 3}
    assert (await yard.status()).lapsed >= 3
    assert max(Counter(job.key for job in hung.accepted).values()) <= 2


async def test_what_a_silenced_worker_holds_is_done_elsewhere(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """Its last advert stands for ever: it has no time to live."""
    await yard.dispatcher()
    silent = Impostor(yard.bus)
    await silent.start()
    names = await publish(yard, 3)
    await wait_until(lambda: len(silent.accepted) >= 3)
    await yard.worker("w1")
    assert await all_done_once(yard, names, wait_until) == {"w1": 3}


async def test_a_yard_out_of_sight_says_so_works_on_and_sees_again__b6(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    quiet = Impostor(yard.bus)
    quiet.works = True
    await quiet.start()

    async def blind() -> bool:
        return (await yard.status()).blind

    async def sighted() -> bool:
        return not await blind()

    await wait_until(blind)
    assert (await yard.status()).stale == 1
    assert await all_done_once(yard, await publish(yard, 5), wait_until) == {"a-liar": 5}
    await beating(quiet)
    await wait_until(sighted)


# ---- clocks


async def test_clocks_that_are_set_by_an_hour_lose_and_double_nothing(
    yard: Yard, adapters: Path, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of dispatcher and workers; the server's goes on."""
    real, skew = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + skew)
    await yard.dispatcher()
    await yard.worker("w1", adapters_dir=adapters)
    await yard.worker("w2", adapters_dir=adapters)
    names: list[str] = []
    for number in range(60):
        skew = (0.0, -3600.0, 3600.0)[number // 10 % 3]
        names.append(f"j{number}")
        await yard.publish(Job(id=names[-1], prompt="x"), adapter=(None, ADAPTER)[number % 2])
    await all_done_once(yard, names, wait_until)


async def test_a_worker_that_comes_back_with_its_clock_set_back_is_served_again(
    yard: Yard, beating: Beating, wait_until: WaitUntil
) -> None:
    """Its boot epoch is lower than the one before: it counts once that has fallen silent."""
    await yard.dispatcher()
    before = Impostor(yard.bus, "w")
    await before.start()
    names = await publish(yard, 2)
    await wait_until(lambda: len(before.accepted) >= 2)
    before.answer = lambda _: RefusalReason.STALE_EPOCH  # it is gone, and its name answered by the next
    after = Impostor(yard.bus, "w")
    after.epoch = before.epoch - 3600 * 10**9
    after.works = True
    await beating(after)
    assert await all_done_once(yard, names, wait_until) == {"w": 2}
    assert len(after.accepted) == 2


# ---- crowds


class CrowdedEngine(EchoEngine):
    """Has more adapters in host memory than an advert has room for."""

    def residency(self) -> Residency:
        host = frozenset(f"sha256:{number:064x}" for number in range(20_000))
        return replace(super().residency(), host=host)


async def test_a_worker_with_more_adapters_than_an_advert_holds_is_seen_all_the_same(
    yard: Yard, wait_until: WaitUntil
) -> None:
    await yard.dispatcher()
    await yard.worker("w1", engine=CrowdedEngine())
    assert await all_done_once(yard, await publish(yard, 3), wait_until) == {"w1": 3}
    assert len((await yard.advert()).host) > 1000


async def test_a_thousand_workers_at_once_hold_up_nothing(yard: Yard, wait_until: WaitUntil) -> None:
    await yard.dispatcher()
    await yard.worker("real")
    crowd = [Impostor(yard.bus, f"w{number}") for number in range(1000)]
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn(), name="turns")
    try:
        for impostor in crowd:
            impostor.claims_room = 0
            await impostor.beat()
        names = await publish(yard, 20)

        async def all_known() -> bool:
            return len((await yard.status()).workers) == 1001

        await wait_until(all_known)
        assert await all_done_once(yard, names, wait_until) == {"real": 20}
    finally:
        await end_tasks([turning])
    assert turns > 1000, "the loop went round at least once for each of them"


async def test_a_hundred_requests_of_one_cold_adapter_load_it_once_per_replica(
    yard: Yard, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Simultaneous, and each worker has loads that take their time."""
    make_tiny_adapter(tmp_path / "a" / ADAPTER / "1", seed=1, targets=("q_proj",))
    await yard.dispatcher()
    workers = ("w1", "w2", "w3")
    for name in workers:
        await yard.worker(name, adapters_dir=tmp_path / "a", echo_load_seconds=0.2, echo_delay_seconds=0.05)
    names = [f"j{number}" for number in range(100)]
    await asyncio.gather(*(yard.publish(Job(id=name, prompt=name), adapter=ADAPTER) for name in names))
    makers = await all_done_once(yard, names, wait_until)

    async def told() -> bool:
        counted = [(await yard.advert(name)).counters for name in workers]
        return sum(counters.adapter_rows for counters in counted) == 100

    await wait_until(told)
    counted = {name: (await yard.advert(name)).counters for name in workers}
    for name in workers:
        assert counted[name].slot_loads == counted[name].disk_loads == min(1, makers[name])
        assert counted[name].evictions == 0
