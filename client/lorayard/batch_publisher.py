"""Publish messages to the stream of jobs so that it keeps all of them or none (nats-server ADR-50).

The server judges a batch as its last message comes in. Its one answer says nothing of the others: a batch in
which one message id is known to the stream is refused as a whole. Which one it is, is found by a publish of
each that cannot be stored: a known id is answered before the condition on it is looked at.

Measured here beside pipelined publishes: half the client's CPU time, but 25,000 messages a second for 45,000,
since the server keeps a batch apart until it is whole. So it is for those who need the promise.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence

import nats.errors

from lorayard.errors import BusRefusedError, ClientClosedError, LorayardError
from lorayard.publisher import (
    GIVE_UP_SECONDS,
    LEADERLESS_PAUSE_SECONDS,
    Accepted,
    Answer,
    Outgoing,
    is_missing,
    missing_yard,
    read_answer,
    unconfirmed,
)
from lorayard_schemas import headers
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.nats_client import header_block

MAX_BATCH_JOBS = 1000
"""The server's own limit (error 10199)."""

TRY_SECONDS = 2.0
"""A batch of 1,000 takes 50 ms; one that went down with its server is sent again."""

ASKED_TOGETHER = 100
PART_BYTES = 8 * 2**20
"""Written at once: a batch may be larger than what a connection keeps pending."""

KNOWN_MESSAGE_ID = 10201
_NOBODYS_FAULT = frozenset({10176, 10210, 10211})
"""A part was lost with its connection or its server; or the server has too many batches begun."""

KnownJobs = dict[str, Accepted]
"""Job -> where the stream has it."""

_NEVER_LAST = "asked-and-not-stored"


class BatchPublisher:
    """Sends a batch until the stream has said yes or no."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def send(self, items: Sequence[Outgoing]) -> Accepted | KnownJobs | LorayardError:
        """Whether the stream has all of them now; if not, which it had before, or why it takes none.

        No two items have one id, and none was sent where some were known.
        """
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < give_up:
            answer = await self._try(items)
            if _code(answer) != KNOWN_MESSAGE_ID:
                if answer is not None:
                    return answer
            elif known := await self._known_of(items):
                return known
            await asyncio.sleep(LEADERLESS_PAUSE_SECONDS)
        return unconfirmed(self._bus, items[0])

    async def _try(self, items: Sequence[Outgoing]) -> Answer | None:
        """The stream's answer; None: there was none, or not a final one."""
        try:
            reply = await self._post(items, secrets.token_hex(16))
        except nats.errors.ConnectionClosedError as error:
            raise ClientClosedError from error
        except nats.errors.NoRespondersError:
            return missing_yard(self._bus) if await is_missing(self._bus) else None
        except nats.errors.Error:
            return None
        answer = read_answer(reply)
        return None if _code(answer) in _NOBODYS_FAULT else answer

    async def _post(self, items: Sequence[Outgoing], batch: str) -> bytes:
        *before, last = enumerate(items, 1)
        pending = 0
        for number, item in before:
            if pending + len(item.body) > PART_BYTES:
                await self._bus.nc.flush()
                pending = 0
            self._bus.nc.post(item.subject, item.body, head=header_block(self._head(item, batch, number)))
            pending += len(item.body)
        number, item = last
        head = {**self._head(item, batch, number), headers.BATCH_COMMIT: "1"}
        return (
            await self._bus.nc.request(item.subject, item.body, timeout=TRY_SECONDS, headers=dict(head))
        ).data

    async def _known_of(self, items: Sequence[Outgoing]) -> KnownJobs:
        found: KnownJobs = {}
        for start in range(0, len(items), ASKED_TOGETHER):
            part = items[start : start + ASKED_TOGETHER]
            answers = await asyncio.gather(*(self._ask(item) for item in part))
            found |= {
                item.job: answer
                for item, answer in zip(part, answers, strict=True)
                if isinstance(answer, Accepted)
            }
        return found

    def _head(self, item: Outgoing, batch: str, number: int) -> dict[str, str]:
        return {
            headers.MSG_ID: self._bus.message_id(item.job),
            headers.BATCH_ID: batch,
            headers.BATCH_SEQUENCE: str(number),
        }

    async def _ask(self, item: Outgoing) -> Answer | None:
        message_id = self._bus.message_id(item.job)
        head = {headers.MSG_ID: message_id, headers.EXPECTED_LAST_MSG_ID: _NEVER_LAST}
        try:
            reply = await self._bus.nc.request(item.subject, b"", timeout=TRY_SECONDS, headers=dict(head))
        except nats.errors.ConnectionClosedError as error:
            raise ClientClosedError from error
        except nats.errors.Error:
            return None
        return read_answer(reply.data)


def _code(answer: Answer | None) -> int | None:
    return answer.code if isinstance(answer, BusRefusedError) else None
