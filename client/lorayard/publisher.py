"""Publish jobs and hear what the stream says of each, many in flight and none lost or doubled.

nats-py's `publish_async` never resolves on an error answer, and `gather(js.publish)` costs 45 us of client
CPU per message, half of it for a task and a timer each. Here one inbox takes all answers and one timer guards
a whole window: 20 us. Every try of a message carries the same `Nats-Msg-Id`, so the stream keeps one of them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import nats.errors
from nats.aio.subscription import Subscription

from lorayard.errors import (
    BusRefusedError,
    ClientClosedError,
    LorayardError,
    SubmitUnconfirmedError,
    YardFullError,
    YardNotReadyError,
)
from lorayard_schemas import headers
from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.nats_client import header_block
from lorayard_shared.bus.result_store import WRONG_LAST_SEQUENCE
from lorayard_shared.time_limit import TimeLimit
from lorayard_shared.value import value

GIVE_UP_SECONDS = 15.0
"""A server restart takes under one second here, a new leader in a cluster 5 to 7."""

TRY_SECONDS = 5.0
LEADERLESS_PAUSE_SECONDS = 0.5

NO_RESPONDERS = "503"
STREAM_NOT_FOUND = 10059
_FULL_CODES = frozenset({10023, 10028, 10047})  # resources of the server or the account are used up
_STORE_FAILED = 10077  # any refusal of the store: only the text tells a full one
_BATCHES_DISABLED = 10174  # by a stream that was declared before the yard had atomic batches


@value
class Outgoing:
    """One message on its way; its `Nats-Msg-Id` is made of `job`."""

    job: str
    subject: str
    body: bytes
    schedule: Mapping[str, str] | None = None
    """Headers of one that starts later."""


@value
class Accepted:
    """The stream has the message."""

    duplicate: bool
    """It had it already, from an earlier try or under the same idempotency key."""
    sequence: int | None = None
    """Of a duplicate: where the first one lies."""


Answer = Accepted | LorayardError


class _Window:
    """Messages sent together, and what came back."""

    def __init__(self, items: Sequence[Outgoing]) -> None:
        self.items = items
        self.answers: list[Answer | None] = [None] * len(items)
        self.left = len(items)
        self.full = asyncio.Event()

    def answer(self, index: int, answer: Answer) -> None:
        if self.answers[index] is None:
            self.answers[index] = answer
            self.left -= 1
            if not self.left:
                self.full.set()

    def take_back(self, kind: type[LorayardError]) -> None:
        """These answers were not final."""
        for index, answer in enumerate(self.answers):
            if isinstance(answer, kind):
                self.answers[index] = None
                self.left += 1
                self.full.clear()


class Publisher:
    """Sends windows of messages; safe to use from many tasks of one loop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._inbox = bus.nc.new_inbox()
        self._prefix_length = len(self._inbox) + 1
        self._tokens = itertools.count()
        self._open: dict[str, tuple[_Window, int]] = {}
        self._subscription: Subscription | None = None
        self._try_limit = TimeLimit(TRY_SECONDS)
        bus.on_reconnect(self._send_open_again)

    async def start(self) -> None:
        """Listen for answers."""
        self._subscription = await self._bus.nc.hear(f"{self._inbox}.*", self._receive)

    async def send(self, items: Sequence[Outgoing]) -> list[Answer]:
        """One answer per message, in their order; tries for about `GIVE_UP_SECONDS`."""
        if not items:
            return []
        window = _Window(items)
        tokens: list[str] = []
        give_up = time.monotonic() + GIVE_UP_SECONDS
        try:
            while window.left and time.monotonic() < give_up:
                tokens += self._send_unanswered(window)
                with suppress(TimeoutError):
                    async with self._try_limit.wait():
                        await window.full.wait()
                await self._doubt_missing_stream(window)
        finally:
            for token in tokens:
                self._open.pop(token, None)
        return [
            unconfirmed(self._bus, item) if answer is None else answer
            for item, answer in zip(items, window.answers, strict=True)
        ]

    async def _doubt_missing_stream(self, window: _Window) -> None:
        # Nobody listens on a job's subject when there is no yard, but also while a cluster elects a leader.
        if not any(isinstance(answer, YardNotReadyError) for answer in window.answers):
            return
        if not await is_missing(self._bus):
            window.take_back(YardNotReadyError)
            await asyncio.sleep(LEADERLESS_PAUSE_SECONDS)

    def _send_unanswered(self, window: _Window) -> list[str]:
        tokens: list[str] = []
        items: list[Outgoing] = []
        for index, item in enumerate(window.items):
            if window.answers[index] is None:
                token = str(next(self._tokens))
                tokens.append(token)
                items.append(item)
                self._open[token] = (window, index)
        self._publish(zip(tokens, items, strict=True))
        return tokens

    def _publish(self, named: Iterable[tuple[str, Outgoing]]) -> None:
        try:
            self._bus.nc.post_all(
                (item.subject, f"{self._inbox}.{token}", self._head(item), item.body) for token, item in named
            )
        except nats.errors.ConnectionClosedError as error:
            raise ClientClosedError from error
        except nats.errors.OutboundBufferLimitError:
            pass  # the server is away and the buffer is full: the next try, or the reconnect, sends it

    def _head(self, item: Outgoing) -> bytes:
        message_id = self._bus.message_id(item.job)
        return header_block({headers.MSG_ID: message_id, **(item.schedule or {})})

    def _receive(self, message: Heard) -> None:
        found = self._open.pop(message.subject[self._prefix_length :], None)
        if found is not None:
            window, index = found
            window.answer(index, self._read(message, window.items[index]))

    def _read(self, message: Heard, item: Outgoing) -> Answer:
        if (message.headers or {}).get("Status") == NO_RESPONDERS:
            return missing_yard(self._bus)
        answer = read_answer(message.data)
        if item.schedule is not None and is_refused(answer, WRONG_LAST_SEQUENCE):
            return Accepted(duplicate=True)  # it waits for its time already, and that stays as it is
        return answer

    async def _send_open_again(self) -> None:
        # What was on its way to the old server may be lost; the Msg-Id makes a second copy harmless.
        self._publish([(token, window.items[index]) for token, (window, index) in self._open.items()])


def unconfirmed(bus: Bus, item: Outgoing) -> SubmitUnconfirmedError:
    """Nobody said whether it is stored."""
    last = bus.last_error
    return SubmitUnconfirmedError(
        job_id=item.job, waited_seconds=GIVE_UP_SECONDS, last_error=str(last) if last else ""
    )


async def is_missing(bus: Bus) -> bool:
    """Whether there is no stream of jobs, for sure."""
    try:
        await bus.api(f"STREAM.INFO.{bus.subjects.stream('jobs')}")
    except ApiError as error:
        return error.code == STREAM_NOT_FOUND
    except nats.errors.NoRespondersError:
        return True  # not even JetStream
    except nats.errors.Error:
        pass
    return False


def missing_yard(bus: Bus) -> YardNotReadyError:
    """Nobody listens on a job's subject."""
    return YardNotReadyError(prefix=bus.subjects.prefix, missing=f"stream {bus.subjects.stream('jobs')}")


def is_refused(answer: Answer | None, code: int) -> bool:
    """Whether the server refused the message for that."""
    return isinstance(answer, BusRefusedError) and answer.code == code


def read_answer(data: bytes) -> Answer:
    """What the stream said of a message."""
    if b'"error"' not in data and b'"duplicate"' not in data:
        return Accepted(duplicate=False)
    answer = json.loads(data)
    refusal = answer.get("error")
    if refusal is None:
        return Accepted(duplicate=bool(answer.get("duplicate")), sequence=int(answer.get("seq", 0)) or None)
    return refusal_error(int(refusal.get("err_code", 0)), str(refusal.get("description", "")))


def refusal_error(code: int, description: str) -> LorayardError:
    """What a stream's refusal means to the caller."""
    if code in _FULL_CODES or (code == _STORE_FAILED and "maximum" in description):
        return YardFullError(reason=description)
    if code == _BATCHES_DISABLED:
        description = f"{description}; `lorayard doctor --mend` allows it"
    return BusRefusedError(code=code, description=description)
