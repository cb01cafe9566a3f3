"""A job that ends its workers is given up, what shares a batch with it is not (E3, G1)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest
from nats.aio.msg import Msg

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import AssignedJob, Assignment, AssignmentReply, CancelJob, WorkerLoad
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.job import Job
from lorayard_schemas.result import ErrorKind, JobResult, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import ACK
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.bus.result_store import ResultStore

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class Process(Protocol):
    async def stop(self) -> None: ...


class Yard(Protocol):
    """A yard to start dispatchers and workers in (see conftest)."""

    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> Process: ...
    async def publish(self, body: Job) -> int: ...
    async def result(self, job: str) -> JobResult: ...
    async def stored(self, job: str) -> JobResult | None: ...
    async def dead_letters(self) -> list[DeadLetter]: ...


@pytest.fixture
def yard(long_lease_yard: Yard) -> Yard:
    """The frail worker renews no lease, and what comes again shall be what died with it."""
    return long_lease_yard


class FrailWorker:
    """Runs jobs by name, all that it holds at once; the one called `killer` ends it with all of them."""

    def __init__(self, bus: Bus, *, rows: int) -> None:
        self._bus = bus
        self._key = f"$KV.{bus.subjects.bucket('workers')}.frail"
        self._rows = rows
        self._results = ResultStore(bus, PayloadStore(bus))
        self._held: dict[str, AssignedJob] = {}
        self._number = 0
        self.epoch = 0
        self.lives = 0
        self.alive = False
        self.batches: list[set[str]] = []
        """What it held whenever it was given something."""

    async def serve(self) -> None:
        await self._bus.nc.subscribe(self._bus.subjects.assign("frail"), cb=self._assigned)
        await self.start()

    async def start(self) -> None:
        self.epoch, self.alive, self._held = time.time_ns(), True, {}
        self.lives += 1
        await self._advertise()

    async def finish(self) -> None:
        """Answer everything that is held, unless that ends the worker."""
        if any(job.job == "killer" for job in self._held.values()):
            self.alive = False
            await self._bus.nc.publish(self._key, b"", headers={"KV-Operation": "DEL"})
            return
        for job in list(self._held.values()):
            assert job.job is not None
            await self._results.store(
                JobResult(job=job.job, tenant="acme", state=ResultState.SUCCEEDED, text="t")
            )
            await self._bus.nc.publish(job.lease, ACK)
        self._held = {}
        await self._advertise()

    async def _advertise(self) -> None:
        advert = WorkerAdvert(
            worker="frail",
            epoch=self.epoch,
            sequence=self._next(),
            at=time.time(),
            engine="none",
            model="none",
            base_digest="sha256:" + "0" * 8,
            context_tokens=1,
            slot_count=1,
            load=self._load(),
        )
        await self._bus.nc.publish(self._key, encode(advert))

    async def _assigned(self, message: Msg) -> None:
        if not self.alive:
            return
        assignment = decode(Assignment, message.data)
        self._held |= {job.key: job for job in assignment.jobs}
        self.batches.append({job.job or "" for job in self._held.values()})
        load = self._load().model_copy(update={"seen": {assignment.dispatcher: assignment.number}})
        await message.respond(encode(AssignmentReply(load=load)))

    def _load(self) -> WorkerLoad:
        room = self._rows - len(self._held)
        return WorkerLoad(
            worker="frail", epoch=self.epoch, number=self._next(), room=room, holding=tuple(self._held)
        )

    def _next(self) -> int:
        self._number += 1
        return self._number

    @property
    def holds(self) -> int:
        return len(self._held)


NAMES = ("a", "b", "killer", "c")


async def run_lives(yard: Yard, worker: FrailWorker, wait_until: WaitUntil, lives: int) -> None:
    """Let it live and die, holding all that there is, so many times."""
    for _ in range(lives):
        await wait_until(lambda: worker.holds == len(NAMES))
        await worker.finish()
        await worker.start()


async def make_suspects(yard: Yard, wait_until: WaitUntil) -> FrailWorker:
    """The worker that has died twice with all the jobs."""
    await yard.dispatcher()
    for name in NAMES:
        await yard.publish(Job(id=name, prompt="x"))
    worker = FrailWorker(yard.bus, rows=8)
    await worker.serve()
    await run_lives(yard, worker, wait_until, 2)
    return worker


async def test_what_shares_batches_with_a_killer_is_cleared_and_the_killer_given_up__e3(
    yard: Yard, wait_until: WaitUntil
) -> None:
    worker = await make_suspects(yard, wait_until)

    async def answered() -> bool:
        if worker.holds:
            await worker.finish()
        if not worker.alive:
            await worker.start()
        return all([await yard.stored(name) for name in NAMES])

    await wait_until(answered)
    results = {name: await yard.result(name) for name in NAMES}
    assert {name: result.state for name, result in results.items() if name != "killer"} == dict.fromkeys(
        ("a", "b", "c"), ResultState.SUCCEEDED
    )
    error = results["killer"].error
    assert error is not None
    assert (error.kind, error.code) == (ErrorKind.POISON, "delivered_too_often")
    assert [len(batch) for batch in worker.batches[-4:]] == [1, 1, 1, 1], "each ran alone"
    assert worker.lives == 4, "two deaths in company, one alone"
    died = [one.code for one in results["killer"].attempts]
    assert died == ["worker_died"] * 3
    (letter,) = await yard.dead_letters()
    assert (letter.job, letter.code) == ("killer", "delivered_too_often")
    assert letter.attempts == results["killer"].attempts


async def test_the_count_outlives_the_dispatcher__e3(yard: Yard, wait_until: WaitUntil) -> None:
    """And is shared: another one goes on with it."""
    worker = FrailWorker(yard.bus, rows=8)
    await worker.serve()
    await yard.publish(Job(id="killer", prompt="x"))
    for number in range(3):
        dispatcher = await yard.dispatcher(f"d{number}")
        await wait_until(lambda: worker.holds == 1)
        await worker.finish()
        await wait_until(lambda number=number: written(yard, number + 1))
        await dispatcher.stop()
        await worker.start()
    await yard.dispatcher("last")
    error = (await yard.result("killer")).error
    assert error is not None
    assert error.kind is ErrorKind.POISON
    assert worker.lives == 4, "no dispatcher has seen more than one death"


async def written(yard: Yard, count: int) -> bool:
    info = await yard.bus.api(f"STREAM.INFO.KV_{yard.bus.subjects.bucket('interruptions')}")
    return int(info["state"]["last_seq"]) == count


async def test_a_suspect_can_be_cancelled_while_it_waits_for_its_turn(
    yard: Yard, wait_until: WaitUntil
) -> None:
    worker = await make_suspects(yard, wait_until)
    await wait_until(lambda: worker.holds == 1)
    waiting = next(name for name in NAMES if name not in worker.batches[-1])
    subject = yard.bus.subjects.dispatcher("cancel")
    await yard.bus.nc.request(subject, encode(CancelJob(tenant="acme", job=waiting)), timeout=30)
    assert (await yard.result(waiting)).state is ResultState.CANCELLED
