"""Messages that somebody terminated: a `+TERM` on a lease takes a job out of its stream at once.

Nothing of ours says it, but whoever may publish on `$JS.ACK.>` can. The message is gone before the server
tells of it, so its job is only where somebody holds it. One that is parked is given up; one at a worker ends
there, and is given up when that worker dies. So each still ends in one result or one letter.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg

from lorayard_dispatcher.departures import Departures
from lorayard_dispatcher.fleet import Fleet
from lorayard_dispatcher.held_job import HeldJob
from lorayard_schemas.codec import decode
from lorayard_schemas.dead_letter import DeadLetter
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.job import JobStub
from lorayard_schemas.names import subject_token
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.scanning import scan
from lorayard_shared.bus.topology import CHECK_DELAYED, topology
from lorayard_shared.jobs import refusals
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.logs import Event

LOOK_SECONDS = 2.0
"""Between two looks after those that are at workers."""

SCAN_SECONDS = 30.0
"""To look through a tenant's whole queue: 100,000 jobs take some seconds."""

DELETED = frozenset({"Unacknowledged message was deleted", "Message deleted by stream limits"})
"""What the server itself says (2.15) of a message that was taken out of the stream, as cancelled ones are:
whoever holds its job ends it."""

_TROUBLE = (nats.errors.Error, nats.js.errors.Error, ApiError, ValueError, KeyError, TypeError)


class Terminated:
    """Hears what was terminated, and sees to it that it ends."""

    def __init__(
        self,
        bus: Bus,
        answers: Answers,
        *,
        departures: Departures,
        fleet: Fleet,
        has_seat: Callable[[int], bool],
    ) -> None:
        """`has_seat`: whether this dispatcher pulls a partition."""
        self._bus = bus
        self._answers = answers
        self._departures = departures
        self._fleet = fleet
        self._has_seat = has_seat
        declared = topology(bus.settings).consumers
        self._partitions = {
            (one.stream, one.name): one.partition for one in declared if one.name != CHECK_DELAYED
        }
        self._at_workers: dict[str, HeldJob] = {}
        """Terminated under a worker, by key."""
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Hear and look until cancelled."""
        hearing = [
            # Every dispatcher: only one has it parked, or has given it out.
            await self._bus.nc.subscribe(
                f"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{stream}.{consumer}", cb=self._heard
            )
            for stream, consumer in sorted(self._partitions)
        ]
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                if self._at_workers and self._bus.connected:
                    await self._look()
        finally:
            for one in hearing:
                with suppress(nats.errors.Error):
                    await one.unsubscribe()

    async def _heard(self, message: Msg) -> None:
        try:
            told: dict[str, Any] = json.loads(message.data)
            if told.get("reason") in DELETED:
                return
            stream, consumer, sequence = str(told["stream"]), str(told["consumer"]), int(told["stream_seq"])
            await self._see_to(stream, consumer, sequence, int(told.get("deliveries", 1)))
        except _TROUBLE as error:
            self._log.warning(Event.BUS_FAILED, error=str(error) or type(error).__name__)

    async def _see_to(self, stream: str, consumer: str, sequence: int, deliveries: int) -> None:
        key = f"{stream}-{sequence}"
        if (taken := self._departures.take(key)) is not None:
            self._log.error(Event.JOB_TERMINATED, stream=stream, sequence=sequence, job=taken.job)
            await self._answers.refuse(taken, refusals.terminated())
            return
        handed = next((held for _, held in self._fleet.handed() if held.key == key), None)
        if handed is not None:
            self._at_workers[key] = handed
        elif self._has_seat(self._partitions.get((stream, consumer), -1)) and not self._fleet.is_held(key):
            await self._bury(stream, sequence, deliveries)

    async def _bury(self, stream: str, sequence: int, deliveries: int) -> None:
        """Nobody knows whose it was: a letter that says so is all there is to be had."""
        self._log.error(Event.JOB_TERMINATED, stream=stream, sequence=sequence)
        error = refusals.terminated()
        await self._answers.bury_unknown(
            DeadLetter(
                subject=f"{self._bus.subjects.prefix}.jobs",
                sequence=sequence,
                code=error.code,
                reason=f"{error.message}; nobody held it, so whose it was is not known",
                deliveries=deliveries,
                body=b"",
                at=time.time(),
            ),
            f"{stream}-{sequence}",
        )

    async def _look(self) -> None:
        """Those whose worker has let go of them have ended, or never will."""
        handed = {held.key for _, held in self._fleet.handed()}
        for key, held in list(self._at_workers.items()):
            if key in handed or self._fleet.is_held(key):
                continue
            with suppress(*_TROUBLE):  # once more at the next look
                if not await self._lives_on(held) and held.parked is not None:
                    self._log.error(Event.JOB_TERMINATED, job=held.job, tenant=held.tenant)
                    await self._answers.refuse(held.parked.taken, refusals.terminated())
                del self._at_workers[key]

    async def _lives_on(self, held: HeldJob) -> bool:
        """Whether it has its result, or is tried again under a message of its own."""
        if await self._answers.has_result(held.tenant, held.job):
            return True
        subjects, token = self._bus.subjects, subject_token(held.tenant)
        for kind, subject in (
            ("delayed", subjects.delayed_job(held.tenant, held.job)),
            ("delayed", f"{subjects.prefix}.due.*.{token}.>"),
            ("jobs", f"{subjects.prefix}.jobs.*.{token}.>"),
        ):
            if await self._lies_under(subjects.stream(kind), subject, held.job):
                return True
        return False

    async def _lies_under(self, stream: str, subject: str, job: str) -> bool:
        """All are looked through, however many: nobody else would answer it."""
        found: list[str] = []

        def look(_: str, __: dict[str, str], body: bytes) -> None:
            with suppress(MalformedMessageError):
                if (stub := decode(JobStub, body)).id == job:
                    found.append(stub.id)

        if not await scan(self._bus, stream, subject, look, seconds=SCAN_SECONDS) and not found:
            raise nats.errors.TimeoutError  # it is looked for again
        return bool(found)
