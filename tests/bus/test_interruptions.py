"""A job that takes its workers down is given up; one that only waited is not (G1)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest
from nats.aio.msg import Msg

from lorayard_schemas.advert import WorkerAdvert
from lorayard_schemas.assignment import Assignment, AssignmentReply, WorkerLoad
from lorayard_schemas.codec import decode, encode
from lorayard_schemas.job import Job
from lorayard_schemas.result import ErrorKind, JobResult
from lorayard_shared.bus.connection import Bus

pytestmark = pytest.mark.bus

WaitUntil = Callable[..., Awaitable[None]]


class Yard(Protocol):
    bus: Bus

    async def dispatcher(self, name: str = "d1", **given: object) -> object: ...
    async def publish(self, body: Job) -> int: ...
    async def result(self, job: str) -> JobResult: ...
    async def stored(self, job: str) -> JobResult | None: ...


class FrailWorker:
    """Accepts what it is given, and then its advert is gone, as after a kill."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._key = f"$KV.{bus.subjects.bucket('workers')}.frail"
        self.accepted = 0
        self.epoch = 0

    async def serve(self) -> None:
        await self._bus.nc.subscribe(self._bus.subjects.assign("frail"), cb=self._accept)

    async def start(self) -> None:
        self.epoch = time.time_ns()
        advert = WorkerAdvert(
            worker="frail",
            epoch=self.epoch,
            sequence=1,
            at=time.time(),
            engine="none",
            model="none",
            base_digest="sha256:" + "0" * 8,
            context_tokens=1,
            slot_count=1,
            load=self._load(()),
        )
        await self._bus.nc.publish(self._key, encode(advert))

    async def die(self) -> None:
        await self._bus.nc.publish(self._key, b"", headers={"KV-Operation": "DEL"})

    async def _accept(self, message: Msg) -> None:
        assignment = decode(Assignment, message.data)
        self.accepted += 1
        load = self._load(tuple(job.key for job in assignment.jobs))
        load = load.model_copy(update={"seen": {assignment.dispatcher: assignment.number}})
        await message.respond(encode(AssignmentReply(load=load)))

    def _load(self, holding: tuple[str, ...]) -> WorkerLoad:
        return WorkerLoad(worker="frail", epoch=self.epoch, number=1, room=1, holding=holding)


async def test_a_job_whose_workers_keep_dying_is_poison(yard: Yard, wait_until: WaitUntil) -> None:
    """G1: what ends whoever runs it must not go round for ever, and its publisher hears of it."""
    await yard.dispatcher(max_interruptions=3)
    worker = FrailWorker(yard.bus)
    await worker.serve()
    await yard.publish(Job(id="j", prompt="x"))

    for life in range(1, 4):
        await worker.start()
        await wait_until(lambda life=life: worker.accepted == life)
        assert await yard.stored("j") is None
        await worker.die()
    result = await yard.result("j")

    assert result.error is not None
    assert result.error.kind is ErrorKind.POISON
