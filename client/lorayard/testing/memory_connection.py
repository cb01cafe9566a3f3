"""A connection to the bus in memory: nats-py's client, with the wire taken out.

Subscriptions, requests, inboxes and the jetstream context above are nats-py's own, so that what the client
does with them is what it does with a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import nats.errors
from nats.aio.subscription import Subscription

from lorayard.testing.memory_stream import matches
from lorayard_shared.bus.connection import PENDING_BYTES
from lorayard_shared.bus.heard import read_headers
from lorayard_shared.bus.nats_client import NatsClient, Post

if TYPE_CHECKING:
    from lorayard.testing.memory_server import MemoryServer
    from lorayard_shared.bus.connection import Bus

MAX_PAYLOAD_BYTES = 2**20
"""The server's usual one."""


class MemoryConnection(NatsClient):
    """Belongs to the event loop it was made in; messages come from any thread."""

    def __init__(self, server: MemoryServer) -> None:
        super().__init__()
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._inbound: asyncio.Queue[tuple[int, str, str, bytes | None, bytes]] = asyncio.Queue()
        self._max_payload = MAX_PAYLOAD_BYTES
        self._max_pending_size = PENDING_BYTES
        self._status = NatsClient.CONNECTED
        self._patterns: dict[int, str] = {}
        self.bus: Bus
        """What was made of this connection."""
        self._deliveries = self._loop.create_task(self._take_all(), name="lorayard-memory-connection")
        server.peers.append(self)

    def hears(self, subject: str) -> list[int]:
        """Its subscriptions that a subject fits."""
        return [sid for sid, pattern in list(self._patterns.items()) if matches(pattern, subject)]

    def deliver(self, sid: int, subject: str, reply: str, head: bytes | None, body: bytes) -> None:
        """Hand a message over to the loop, in the order in which they come."""
        if self.is_connected:
            with suppress(RuntimeError):  # a loop that is closed hears nothing any more
                self._loop.call_soon_threadsafe(self._inbound.put_nowait, (sid, subject, reply, head, body))

    def cut(self) -> None:
        """The server is away."""
        if self.is_connected:
            self._status = NatsClient.RECONNECTING

    def mend(self) -> None:
        """It is back: what a real connection does on a reconnect is done."""
        if self.is_reconnecting:
            self._status = NatsClient.CONNECTED
            again = self.bus._on_reconnect()  # pyright: ignore[reportPrivateUsage]  # nats-py would call it
            asyncio.run_coroutine_threadsafe(again, self._loop)

    def post_all(self, messages: Iterable[Post]) -> None:
        """As its parent's.

        Raises:
            nats.errors.Error: the connection is closed or away, or a message is too long.
        """
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        for subject, reply, head, payload in messages:
            if len(payload) > self._max_payload:
                raise nats.errors.MaxPayloadError
            self._pass_on(subject, reply, (read_headers(head.rstrip()) or {}) if head else {}, payload)

    async def flush(self, timeout: int = 10) -> None:  # noqa: ASYNC109  # the parent's
        """Nothing is ever pending."""

    async def answers_ping(self, seconds: float) -> bool:
        """As its parent's: there is nobody who could be silent."""
        return self.is_connected

    async def close(self) -> None:
        """Hear no more."""
        if self.is_closed:
            return
        self._status = NatsClient.CLOSED
        with self._server.lock:
            self._server.peers.remove(self)
        self._deliveries.cancel()
        for subscription in list(self._subs.values()):
            subscription._stop_processing()  # pyright: ignore[reportPrivateUsage]  # as the parent's close
        self._subs.clear()
        await asyncio.wait({self._deliveries})

    async def _take_all(self) -> None:
        while True:
            sid, subject, reply, head, body = await self._inbound.get()
            await self._process_msg(sid, subject.encode(), reply.encode(), body, head)

    def _pass_on(self, subject: str, reply: str, head: dict[str, str], payload: bytes) -> None:
        if not self.is_connected:
            raise nats.errors.TimeoutError  # a real one would wait for an answer first
        self._server.receive(subject, reply, head, payload)

    async def _send_publish(
        self, subject: str, reply: str, payload: bytes, payload_size: int, headers: dict[str, Any] | None
    ) -> None:
        if not subject:
            raise nats.errors.BadSubjectError
        self._pass_on(subject, reply, {key: str(told) for key, told in (headers or {}).items()}, payload)

    async def _send_subscribe(self, sub: Subscription) -> None:
        self._patterns[sub._id] = sub.subject  # pyright: ignore[reportPrivateUsage]

    async def _send_unsubscribe(self, sid: int, limit: int = 0) -> None:
        self._patterns.pop(sid, None)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        super()._remove_sub(sid, max_msgs)
        self._patterns.pop(sid, None)
