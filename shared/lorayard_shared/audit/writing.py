"""Writes records of one connection, each with its place in a chain, and waits for the server's word."""

from __future__ import annotations

import asyncio
import re
from typing import Final
from weakref import WeakKeyDictionary

import nats.errors
import nats.js.errors

from lorayard_schemas.headers import MSG_ID
from lorayard_shared.audit.chain import Chain
from lorayard_shared.bus.connection import Bus

TRIES = 3

ROLE_CHARACTERS = 24


class AuditWriter:
    """For records that are few: changes that people make. One after another, so that they lie as they are
    numbered."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._chain = Chain(re.sub(r"[^A-Za-z0-9_.-]", "-", bus.name)[:ROLE_CHARACTERS])
        self._turn = asyncio.Lock()

    async def write(self, subject: str, body: bytes, *, message_id: str) -> Exception | None:
        """Why it may not be stored; None: it is."""
        async with self._turn:
            headers = {MSG_ID: message_id, **self._chain.link(subject, body)}
            number, last = self._chain.number, None
            for _ in range(TRIES):
                try:
                    stored = await self._bus.js.publish(subject, body, headers=headers)
                except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
                    last = error
                except asyncio.CancelledError:
                    self._chain.restart()
                    raise
                else:
                    self._settle(number, first_copy=not stored.duplicate)
                    return None
            self._chain.restart()
            return last

    def _settle(self, number: int, *, first_copy: bool) -> None:
        """It is stored: with this place in the chain, or with one that an earlier writing gave it."""
        if first_copy:
            self._chain.confirm(number)
        else:
            self._chain.restart()


_WRITERS: Final[WeakKeyDictionary[Bus, AuditWriter]] = WeakKeyDictionary()


def writer_of(bus: Bus) -> AuditWriter:
    """The one of this connection."""
    found = _WRITERS.get(bus)
    if found is None:
        found = _WRITERS[bus] = AuditWriter(bus)
    return found
