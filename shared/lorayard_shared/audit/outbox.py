"""Audit records on their way: off the path of the jobs, and each with its place in a chain.

Records wait in memory, a bounded number of them, and one task writes them. The server is asked for an
answer about the last of a burst only, at most once a second: that tells of a missing or refusing stream, and
an answer per record would double what the server and this loop have to do for it.

A chain goes on only while it is known to arrive. After a lost connection, a refusal or no answer the next
record begins a new one, alone, and the others wait for the server's word about it (`lorayard_shared.audit`).
Each question has a subject of its own for its answer: one that comes late is not taken for the next one's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgpack
import nats.errors
import structlog
from nats.aio.msg import Msg

from lorayard_schemas.headers import CHAIN
from lorayard_shared.audit.chain import Chain
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.nats_client import Post, header_block, one_header
from lorayard_shared.logs import Event
from lorayard_shared.repeated import Repeated

WAITING_MAX = 10_000
"""Records in memory while the bus is away, a few MiB; then the oldest are lost."""

WRITE_GAP_SECONDS = 0.05
"""From a record to its writing: every write of a few costs this process and the server a system call, as
much as eight records do."""

BURST_RECORDS = 64
"""Written in one breath, about a millisecond; then the loop turns to jobs."""

ANSWER_GAP_SECONDS = 1.0
TELL_SECONDS = 600.0
"""Between two log lines about lost records: no job is in danger."""

Spawn = Callable[[Coroutine[object, object, object], str], None]

Record = tuple[str, dict[str, Any]]
"""Subject and body. A plain map: a model for each job would cost more than the rest of the record."""


@dataclass(slots=True)
class _Question:
    """What the server was asked, and has not answered yet."""

    subject: str
    """Where it is to answer this one, and no other."""
    records: int
    """Lost, if it does not, or refuses."""
    writer: str = ""
    number: int = 0
    """The record that it is about."""


class AuditOutbox:
    """Of one process that has many records to write: a dispatcher, a worker."""

    def __init__(self, bus: Bus, *, role: str, spawn: Spawn) -> None:
        """`role` is for people; `spawn` owns the writing task."""
        self.lost = 0
        """Records that are known not to be stored."""
        self.sent = 0
        self._bus = bus
        self._spawn = spawn
        self._waiting: deque[Record] = deque()
        self._writing = False
        self._chain = Chain(role)
        self._sure = False
        """Whether the chain's beginning is stored, and nothing has happened since."""
        self._losses = bus.disconnects
        self._refused_at = -ANSWER_GAP_SECONDS
        self._later: asyncio.TimerHandle | None = None
        self._heard = asyncio.Event()
        self._inbox = ""
        self._unanswered = self._questions = 0
        self._question: _Question | None = None
        self._asked_at = 0.0
        self._told = Repeated(every_seconds=TELL_SECONDS, clock=time.monotonic)
        bus.on_reconnect(self._go_on)

    def put(self, subject: str, body: dict[str, Any]) -> None:
        """Write a record soon."""
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self._chain.skip(1)
            self._lose(1, "the bus does not take them fast enough")
        self._waiting.append((subject, body))
        self._write_soon()

    async def _go_on(self) -> None:
        """The bus is there again, and what came meanwhile need not wait for the next record."""
        self._write_soon()

    def _write_soon(self) -> None:
        if self._waiting and not self._writing:
            self._writing = True
            self._spawn(self._write(), "audit")

    async def _write(self) -> None:
        try:
            await asyncio.sleep(WRITE_GAP_SECONDS)
            while self._waiting and self._bus.connected:
                if self._losses != self._bus.disconnects:
                    self._losses = self._bus.disconnects
                    self._doubt()
                if not self._sure:
                    if not await self._begin():
                        self._try_later()
                        return
                    continue
                count = min(BURST_RECORDS, len(self._waiting))
                reply = await self._ask_about(count)
                self._publish([self._waiting.popleft() for _ in range(count)], reply)
                await asyncio.sleep(0)
        finally:
            self._writing = False

    def _try_later(self) -> None:
        """Not by waiting here: whoever stops waits for this task."""
        if self._later is not None:
            self._later.cancel()
        self._later = asyncio.get_running_loop().call_later(ANSWER_GAP_SECONDS, self._write_soon)

    async def _begin(self) -> bool:
        """Write the first record of a chain, and wait until it is stored."""
        if time.monotonic() - self._refused_at < ANSWER_GAP_SECONDS:
            return False
        self._heard.clear()
        self._unanswered += 1
        self._publish([self._waiting.popleft()], await self._ask())
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_GAP_SECONDS):
                await self._heard.wait()
        if not self._sure:
            self._refused_at = time.monotonic()
            self._chain.restart()
        return self._sure

    def _publish(self, records: Sequence[Record], reply: str) -> None:
        """Write these in one piece; the server is to answer about the last of them, if it is asked."""
        if not records:
            return  # too many came while the server was asked for: they made way
        replies = itertools.chain(itertools.repeat("", len(records) - 1), (reply,))
        sent_before = self._bus.nc.stats["out_msgs"]
        try:
            self._bus.nc.post_all(
                self._chained(subject, answer, body)
                for (subject, body), answer in zip(records, replies, strict=True)
            )
        except nats.errors.Error as error:
            lost = len(records) - (self._bus.nc.stats["out_msgs"] - sent_before)
            self._unanswered = max(0, self._unanswered - lost)
            self._doubt()
            self._lose(lost, str(error))
        else:
            self.sent += len(records)
            if reply and self._question is not None:
                self._question.writer, self._question.number = self._chain.writer, self._chain.number

    def _chained(self, subject: str, reply: str, body: dict[str, Any]) -> Post:
        packed = msgpack.packb(body)
        chain = self._chain
        if chain.begun:
            return subject, reply, one_header(CHAIN, chain.place(subject, packed)), packed
        return subject, reply, header_block(chain.link(subject, packed)), packed

    def _doubt(self) -> None:
        """What was sent last may be lost: the next record begins a chain."""
        self._sure = False
        self._chain.restart()

    async def _ask_about(self, count: int) -> str:
        """Where the server is to answer about so many more, or nowhere."""
        self._unanswered += count
        due = time.monotonic() - self._asked_at >= ANSWER_GAP_SECONDS
        return await self._ask() if due and count == len(self._waiting) else ""

    async def _ask(self) -> str:
        """Where the server is to answer; records of a question without an answer are lost."""
        if not self._inbox:
            self._inbox = self._bus.nc.new_inbox()
            await self._bus.nc.subscribe(f"{self._inbox}.*", cb=self._answered)
        if self._question is not None:
            if self._sure:
                self._doubt()
            self._lose(self._question.records, "no answer")
        self._asked_at = time.monotonic()
        self._questions += 1
        asked = _Question(subject=f"{self._inbox}.{self._questions}", records=self._unanswered)
        self._question, self._unanswered = asked, 0
        return asked.subject

    async def _answered(self, message: Msg) -> None:
        question = self._question
        if question is None or message.subject != question.subject:
            return  # it comes late: what it is about was told as lost, and its chain is given up
        self._question = None
        self._heard.set()
        with suppress(ValueError):
            if "error" not in json.loads(message.data):
                if question.writer == self._chain.writer:  # else it was about a chain that is given up
                    self._sure = True
                    self._chain.confirm(question.number)
                return
        if self._sure:
            self._doubt()
        reason = message.data.decode(errors="replace") or "there is no stream of audit records"
        self._lose(question.records, reason)

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        if count and (times := self._told.again()) is not None:
            self._log().warning(Event.AUDIT_LOST, records=self.lost, reason=reason, times=times)

    def _log(self) -> structlog.typing.FilteringBoundLogger:
        logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
        return logger
