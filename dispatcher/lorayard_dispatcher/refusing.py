"""Answers many jobs that are refused for one reason, in batches: a flood of them costs the others little.

One result at a time takes a task, two models and a round trip of its own, 250 us in all; here they travel
together. Between two batches the loop is free, and what is not answered yet is counted against the room of
the pulls, so that a flood waits in the stream and not here.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgpack
import nats.errors
import structlog

from lorayard_schemas.result import JobTimings, ResultError, ResultState, Usage
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.delivery import ACK
from lorayard_shared.bus.result_store import PackedResult, ResultStore, Stored
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.taken_job import TakenJob
from lorayard_shared.lease import LeaseKeeper
from lorayard_shared.logs import Event
from lorayard_shared.repeated import Repeated

BATCH = 128
"""Packing so many takes about 1 ms of the loop."""

AT_ONCE = 3
"""Batches on their way: while the server writes one, the next is packed."""

TELL_SECONDS = 1.0
"""Between two lines of the log about refusals."""

_NOTHING = {"usage": Usage().model_dump(), "timings": JobTimings().model_dump()}


class Refusing:
    """A queue of refusals, and tasks that empty it."""

    def __init__(
        self,
        bus: Bus,
        results: ResultStore,
        *,
        answers: Answers,
        leases: LeaseKeeper,
        spawn: Callable[..., object],
    ) -> None:
        self._bus = bus
        self._results = results
        self._answers = answers
        self._leases = leases
        self._spawn = spawn
        self._queue: deque[tuple[TakenJob, ResultError, ResultState]] = deque()
        self._under_way = 0
        self._runs = 0
        self._told = Repeated(every_seconds=TELL_SECONDS, clock=time.monotonic)
        self._log = structlog.get_logger()

    def __len__(self) -> int:
        return len(self._queue) + self._under_way

    def add(self, job: TakenJob, error: ResultError, state: ResultState = ResultState.FAILED) -> None:
        """Have a job answered soon; its lease is kept until then."""
        self._queue.append((job, error, state))
        if (times := self._told.again()) is not None:
            tenant = job.address.tenant
            self._log.info(
                Event.JOB_REFUSED, job=job.job, tenant=tenant, code=error.code, times=times, **job.traced
            )
        # A second task once there is a whole batch for it: few are answered together, not one by one.
        if not self._runs or (self._runs < AT_ONCE and len(self._queue) >= BATCH):
            self._begin()

    def _begin(self) -> None:
        self._runs += 1
        self._spawn(self._run(), "refuse-many")

    async def _run(self) -> None:
        size = 0
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                size = len(batch)
                self._under_way += size
                await self._answer(batch)
                self._under_way -= size
                size = 0
                await asyncio.sleep(0)
        finally:
            self._under_way -= size
            self._runs -= 1
            if self._queue and not self._runs:
                # The batch before failed in a way that nobody expected: the others go on.
                self._begin()

    async def _answer(self, batch: list[tuple[TakenJob, ResultError, ResultState]]) -> None:
        now = time.time()
        errors: dict[int, dict[str, Any]] = {}
        packed = [_packed(job, error, state, now, errors) for job, error, state in batch]
        stored: list[Stored | None]
        try:
            stored = await self._results.try_together(packed)
        except nats.errors.Error:
            stored = [None] * len(batch)
        done: list[TakenJob] = []
        for (job, error, state), outcome in zip(batch, stored, strict=True):
            if outcome is None:  # whatever it is: that one is kept at until it is stored
                late = self._answers.end(job, state, error)
                self._spawn(late, f"refuse-{job.key}")
            else:
                done.append(job)
                if outcome is Stored.NOW:
                    self._answers.ended(job.address.tenant, job.job, state, job.attempt, error.code)
        self._let_go(done)

    def _let_go(self, jobs: list[TakenJob]) -> None:
        try:
            self._bus.nc.post_all((job.lease, "", b"", ACK) for job in jobs)
        except nats.errors.Error as error:
            # They come again after ack_wait, and find their results stored.
            self._log.warning(Event.BUS_FAILED, error=str(error) or type(error).__name__)
        for job in jobs:
            self._leases.release(job.lease)


def _packed(
    job: TakenJob, error: ResultError, state: ResultState, now: float, errors: dict[int, dict[str, Any]]
) -> PackedResult:
    """A `JobResult`, as the map that travels: its model would take three times as long as the packing."""
    told = errors.get(id(error))
    if told is None:
        told = errors[id(error)] = error.model_dump(mode="json", exclude_none=True)
    body: bytes = msgpack.packb(
        {
            "v": 1,
            "job": job.job,
            "tenant": job.address.tenant,
            "state": state.value,
            "error": told,
            **_NOTHING,
            "attempt": job.attempt,
            "finished_at": now,
        }
    )
    return PackedResult(tenant=job.address.tenant, job=job.job, body=body)
