"""What the server itself gave up: messages that were given out as often as a consumer may.

Such a message stays in its stream and is shown to nobody any more (nats-server 5564, by design): who sent it
would wait for ever. The server says so once, on a subject that keeps nothing. So that is heard, and at the
start and now and then it is looked for what lies behind a consumer's last word: a message that was acked is
gone.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg

from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.deleting import delete_message
from lorayard_shared.bus.topology import CHECK_DELAYED, ConsumerDeclaration, topology
from lorayard_shared.jobs import refusals
from lorayard_shared.jobs.answers import Answers
from lorayard_shared.jobs.intake import Unreadable, read_delivery
from lorayard_shared.logs import Event

LOOK_SECONDS = 60.0
"""Two questions for each consumer; what it finds was lost from sight for at most so long."""

CONFIRM_SECONDS = 1.0
"""What a look has found lies there still, then. One that was acked leaves the stream a moment later than the
consumer's count, where several servers keep it; and a retry is acked without a result."""

MOST_FOUND = 1000
"""Of one consumer at one look: the next look has the rest."""

GROUP = "fuse"
"""Of several dispatchers one hears each advisory; what all miss is found by a look."""

_TROUBLE = (nats.errors.Error, nats.js.errors.Error, ApiError, ValueError)


class Fuse:
    """Answers what nobody is shown any more, and takes it out of its stream."""

    def __init__(
        self,
        bus: Bus,
        answers: Answers,
        *,
        is_active: Callable[[], bool],
        is_held: Callable[[str], bool],
    ) -> None:
        """`is_held`: whether a worker says that it has a job (by key): it ends there, then."""
        self._bus = bus
        self._answers = answers
        self._is_active = is_active
        self._is_held = is_held
        self._consumers = [one for one in topology(bus.settings).consumers if one.name != CHECK_DELAYED]
        self.blown = 0
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Hear and look until cancelled."""
        names = {(one.stream, one.name) for one in self._consumers}
        hearing = [
            await self._bus.nc.subscribe(
                f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{name}", queue=GROUP, cb=self._heard
            )
            for stream, name in sorted(names)
        ]
        try:
            while True:
                if self._bus.connected and self._is_active():
                    await self.look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for one in hearing:
                with suppress(nats.errors.Error):
                    await one.unsubscribe()

    async def look(self) -> None:
        """Find what lies behind the consumers, and answer what still does a moment later."""
        found: list[tuple[ConsumerDeclaration, int]] = []
        for consumer in self._consumers:
            try:
                found += [(consumer, sequence) for sequence in await self._behind(consumer)]
            except _TROUBLE as error:
                self._log.warning(Event.BUS_FAILED, consumer=consumer.name, error=str(error))
        if found:
            await asyncio.sleep(CONFIRM_SECONDS)
        for consumer, sequence in found:
            try:
                await self._give_up_still(consumer, sequence)
            except _TROUBLE as error:
                self._log.warning(Event.BUS_FAILED, consumer=consumer.name, error=str(error))

    async def _behind(self, consumer: ConsumerDeclaration) -> list[int]:
        info = await self._bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
        # Nothing up to here waits for a word: acked messages are gone, so what is left was given up.
        floor = int(info["ack_floor"]["stream_seq"])
        if not info["num_ack_pending"]:
            floor = int(info["delivered"]["stream_seq"])
        # By the server's filter: what is declared may be what somebody is about to change it to.
        subject, behind, sequence = str(info["config"]["filter_subject"]), list[int](), 1
        while sequence <= floor and len(behind) < MOST_FOUND:
            found = await self._next(consumer.stream, subject, sequence)
            if found is None or found > floor:
                break
            behind.append(found)
            sequence = found + 1
        return behind

    async def _next(self, stream: str, subject: str, sequence: int) -> int | None:
        try:
            found = await self._bus.js.get_msg(stream, seq=sequence, subject=subject, next=True, direct=True)
        except nats.js.errors.NotFoundError:
            return None
        return found.seq

    async def _give_up_still(self, consumer: ConsumerDeclaration, sequence: int) -> None:
        with suppress(nats.js.errors.NotFoundError):
            # Not a direct get: that may be answered by a server that is behind.
            found = await self._bus.js.get_msg(consumer.stream, seq=sequence)
            await self._give_up(consumer.stream, consumer.name, found)

    async def _heard(self, message: Msg) -> None:
        try:
            told: dict[str, Any] = json.loads(message.data)
            stream, consumer = str(told["stream"]), str(told["consumer"])
            found = await self._bus.js.get_msg(stream, seq=int(told["stream_seq"]))
            await self._give_up(stream, consumer, found)
        except nats.js.errors.NotFoundError:
            pass  # it was acked after all
        except (*_TROUBLE, KeyError, TypeError) as error:
            self._log.warning(Event.BUS_FAILED, error=str(error) or type(error).__name__)

    async def _give_up(self, stream: str, consumer: str, found: RawStreamMsg) -> None:
        assert found.seq is not None, "every stored message has one"
        assert found.subject is not None, "and a subject"
        if self._is_held(f"{stream}-{found.seq}"):
            return
        told = cast("dict[str, str] | None", found.headers)  # nats-py leaves it open
        read = read_delivery(
            self._bus.subjects,
            subject=found.subject,
            reply=f"$JS.ACK.{stream}.{consumer}.1.{found.seq}.1.{time.time_ns()}.0",
            body=found.data or b"",
            message_headers=told or {},
        )
        self.blown += 1
        self._log.error(Event.JOB_LOST_FROM_SIGHT, stream=stream, sequence=found.seq, consumer=consumer)
        if isinstance(read, Unreadable):
            await self._answers.unreadable(read)
        elif not await self._answers.let_go_if_answered(read):
            await self._answers.refuse(read, refusals.delivered_too_often())
        await delete_message(self._bus, stream, found.seq)
