"""Workers in name only, and what must be true of a yard whatever they do."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import pytest
from nats.aio.msg import Msg
from tests.bus.conftest import Yard

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import (
    AssignedJob,
    Assignment,
    AssignmentReply,
    Refusal,
    RefusalReason,
    WorkerLoad,
)
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.give_back import GIVE_BACK, GiveBack, GiveBackReply
from lorayard_schemas.job import Job, JobStub
from lorayard_schemas.result import JobResult, ResultState
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import ACK
from lorayard_shared.process import end_tasks
from lorayard_workers.engine.echo import EchoEngine

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
        self.garbles = False
        self.asked_back: set[str] = set()
        self._numbers = itertools.count(1)
        self._seen: dict[str, int] = {}

    async def start(self) -> None:
        await self.bus.nc.subscribe(self.bus.subjects.assign(self.name), "q", cb=self._assigned)
        await self.bus.nc.subscribe(self.bus.subjects.control(self.name, GIVE_BACK), "q", cb=self._give_back)
        await self.beat()

    async def _give_back(self, message: Msg) -> None:
        keys = decode(GiveBack, message.data).keys
        self.asked_back.update(keys)
        await message.respond(encode(GiveBackReply(asked=len(keys))))

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
        if self.garbles:
            await message.respond(b"")
            return
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
