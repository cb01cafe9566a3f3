"""Look through what lies in a stream, beside whoever consumes it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import nats.errors

from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.heard import Heard
from lorayard_shared.bus.losses import answered, asked_again
from lorayard_shared.bus.server_time import server_seconds
from lorayard_shared.value import value

PAGE_MESSAGES = 1000
PAGE_BYTES = 4 * 2**20
"""Of one answer: a slow link has it within `PAGE_SECONDS`."""
PAGE_SECONDS = 5.0

PENDING = "Nats-Num-Pending"
"""Of a message in a page: how many lie behind it under the subject that was asked for."""

_STATUS = b"NATS/1.0 "
"""Begins what the server itself says; a message's own headers have no space there."""

Look = Callable[[str, dict[str, str], bytes], None]
"""Given a message's subject, headers and body; an exception ends the scan."""


async def scan(bus: Bus, kind: str, subject: str, look: Look, *, seconds: float) -> bool:
    """Show every message under a subject of a stream, the oldest first; whether all were shown in time.

    `kind` is the stream's full name. What comes meanwhile may be shown or not. No consumer is made, so that
    it works on a work queue too.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    end, sequence = asyncio.get_running_loop().time() + seconds, 0
    while asyncio.get_running_loop().time() < end:
        page = await _sure_page(bus, kind, subject, sequence + 1)
        for message in page:
            lying = _lying(message)
            sequence = lying.sequence
            look(lying.subject, lying.headers, lying.body)
        if not page:
            return True
    return False


@value
class Lying:
    """A message as it lies in a stream."""

    sequence: int
    subject: str
    headers: dict[str, str]
    body: bytes


async def walk(
    bus: Bus, kind: str, subject: str, *, after: int = 0, until: int | None = None
) -> AsyncGenerator[list[Lying]]:
    """The same, page by page and with all the time that the reader takes: no more than a page is in memory.

    It begins behind the sequence `after`, and ends behind `until`, where one is given: else who publishes
    faster than it reads leads it on for ever.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    sequence = after
    while until is None or sequence < until:
        page = await _sure_page(bus, kind, subject, sequence + 1)
        if not page:
            return
        lying = [_lying(message) for message in page]
        sequence = lying[-1].sequence
        yield lying


async def walk_back(
    bus: Bus, kind: str, subject: str, *, first: int, last: int, most: int
) -> AsyncGenerator[list[Lying]]:
    """The other way round: the newest first, in each page and of all, from the sequence `last` to `first`.

    The server reads forward only. So each page is a stretch of sequences: of `most` to begin with, of twice
    as many where few messages are left in it, of half where one answer does not hold them.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    length = most
    while last >= first:
        begin = max(first, last - length + 1)
        heard = await _sure_page(bus, kind, subject, begin, most=min(length, PAGE_MESSAGES))
        page = [_lying(message) for message in heard]
        if begin < last and _ends_before(page, last):
            length = (last - begin + 1) // 2
            continue
        lying = [one for one in reversed(page) if one.sequence <= last]
        last = begin - 1
        if 2 * len(lying) < length:
            length *= 2
        if lying:
            yield lying


def _ends_before(page: list[Lying], last: int) -> bool:
    """Whether messages up to `last` may be left out of a page."""
    return bool(page) and page[-1].sequence < last and page[-1].headers.get(PENDING) != "0"


async def count_lying(bus: Bus, kind: str, subject: str) -> int:
    """How many messages lie under a subject; the server counts them, and gives one of them.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    page = await _sure_page(bus, kind, subject, 1, most=1)
    return 1 + int(_lying(page[0]).headers[PENDING]) if page else 0


async def sequence_before(bus: Bus, kind: str, at: float) -> int:
    """Of the last message that was stored before a time (unix seconds, of the server); found by halving, in
    some twenty questions. 0: all came later.

    Raises:
        ApiError: there is no such stream.
        nats.errors.Error: no answer.
    """
    state = (await bus.api(f"STREAM.INFO.{kind}"))["state"]
    low, high = int(state["first_seq"]) - 1, int(state["last_seq"])
    while low < high:  # `low` is before that time, or the first; behind `high` nothing is
        middle = (low + high + 1) // 2
        try:
            found = await bus.api(f"STREAM.MSG.GET.{kind}", {"seq": middle, "next_by_subj": ">"})
        except ApiError:
            high = middle - 1  # nothing is left from there on
            continue
        message = found["message"]
        if server_seconds(str(message["time"])) < at:
            low = int(message["seq"])
        else:
            high = middle - 1
    return low


async def last_sequence(bus: Bus, kind: str) -> int:
    """Of what was stored in a stream last, whether it still lies there or not.

    Raises:
        ApiError: there is no such stream.
        nats.errors.Error: no answer.
    """
    return int((await bus.api(f"STREAM.INFO.{kind}"))["state"]["last_seq"])


def _lying(message: Heard) -> Lying:
    headers = message.headers or {}
    return Lying(
        sequence=int(headers["Nats-Sequence"]),
        subject=headers["Nats-Subject"],
        headers=headers,
        body=message.data,
    )


async def read_page(
    bus: Bus, stream: str, subject: str, sequence: int, *, most: int = PAGE_MESSAGES
) -> list[Heard]:
    """The next messages under a subject, from a sequence on, so many at most; none: there are no more.

    Raises:
        nats.errors.Error: the bus did not answer.
    """
    found: list[Heard] = []
    end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(message: Heard) -> None:
        if (message.raw_headers or b"").startswith(_STATUS):
            if not end.done():
                end.set_result(None)  # all are here, or there are none
            return
        found.append(message)

    inbox, losses = bus.nc.new_inbox(), bus.disconnects
    hearing = await bus.nc.hear(inbox, take)
    try:
        wanted = {"seq": sequence, "next_by_subj": subject, "batch": most, "max_bytes": PAGE_BYTES}
        await bus.nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(wanted).encode(), reply=inbox)
        await answered(bus, end, losses, seconds=PAGE_SECONDS)
    finally:
        with suppress(nats.errors.Error):
            await hearing.unsubscribe()
    return found


async def _sure_page(
    bus: Bus, stream: str, subject: str, sequence: int, *, most: int = PAGE_MESSAGES
) -> list[Heard]:
    return await asked_again(bus, lambda: read_page(bus, stream, subject, sequence, most=most))
