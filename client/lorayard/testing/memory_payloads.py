"""Texts too long for a message, in memory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import nats.errors

from lorayard_schemas.job import PayloadRef
from lorayard_shared.bus.payloads import PayloadStore
from lorayard_shared.errors import PayloadMissingError

if TYPE_CHECKING:
    from lorayard.testing.memory_server import MemoryServer
    from lorayard_shared.bus.connection import Bus


class MemoryPayloads(PayloadStore):
    """As its parent, without an object store."""

    def __init__(self, bus: Bus, server: MemoryServer) -> None:
        super().__init__(bus)
        self._bus = bus
        self._server = server

    async def put(self, key: str, text: str) -> PayloadRef:
        """Keep a text.

        Raises:
            nats.errors.Error: the bus is away.
        """
        self._check()
        return keep_text(self._server, key, text)

    async def get(self, ref: PayloadRef) -> str:
        """The text behind a reference.

        Raises:
            PayloadMissingError: nobody has put it.
            nats.errors.Error: the bus is away.
        """
        self._check()
        return read_text(self._server, ref)

    def _check(self) -> None:
        if not self._bus.connected:
            raise nats.errors.TimeoutError


def keep_text(server: MemoryServer, key: str, text: str) -> PayloadRef:
    """Keep it, and say where."""
    data = text.encode()
    server.texts[key] = text
    return PayloadRef(key=key, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def read_text(server: MemoryServer, ref: PayloadRef) -> str:
    """The text.

    Raises:
        PayloadMissingError: nobody has put it.
    """
    if ref.key not in server.texts:
        raise PayloadMissingError(key=ref.key, reason="it is not in the store (any more)")
    return server.texts[ref.key]
