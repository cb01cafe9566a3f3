"""The client over a bus in memory: the real classes, but for the connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lorayard.client import Client
from lorayard.delayed_door import DelayedDoor
from lorayard.errors import BusUnavailableError
from lorayard.link import Link
from lorayard.publisher import Answer, Outgoing, Publisher, unconfirmed
from lorayard.sync_client import SyncClient
from lorayard.testing.memory_connection import MemoryConnection
from lorayard.testing.memory_payloads import MemoryPayloads
from lorayard_shared.bus.connection import Bus

if TYPE_CHECKING:
    from lorayard.settings import ClientSettings
    from lorayard.testing.memory_server import MemoryServer


class MemoryClient(Client):
    """`lorayard.Client` on a `MemoryYard`; made by `MemoryYard.client`."""

    def __init__(self, server: MemoryServer, *, tenant: str, idempotency_salt: str | None = None) -> None:
        super().__init__(settings=server.settings, tenant=tenant, idempotency_salt=idempotency_salt)
        self._server = server

    async def _connect(self) -> Link:
        return await _open_link(self._server, self._settings, self._name)


class SyncMemoryClient(SyncClient):
    """`lorayard.SyncClient` on a `MemoryYard`; made by `MemoryYard.sync_client`."""

    def __init__(self, server: MemoryServer, *, tenant: str, idempotency_salt: str | None = None) -> None:
        super().__init__(settings=server.settings, tenant=tenant, idempotency_salt=idempotency_salt)
        self._client = MemoryClient(server, tenant=tenant, idempotency_salt=idempotency_salt)


class _MemoryPublisher(Publisher):
    """Says at once what the real one says after 15 s without an answer."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self._bus = bus

    async def send(self, items: Sequence[Outgoing]) -> list[Answer]:
        """One answer per message."""
        if not self._bus.connected:
            return [unconfirmed(self._bus, item) for item in items]
        return await super().send(items)


class _MemoryDelayedDoor(DelayedDoor):
    """Looks each time: the clock may have been moved since."""

    def __init__(self, bus: Bus, server: MemoryServer, *, limit_bytes: int) -> None:
        super().__init__(bus, limit_bytes=limit_bytes)
        self._server = server

    async def now(self) -> float:
        """Unix seconds by the yard's clock."""
        self._looked = float("-inf")
        await super().now()  # whether the bus is there
        return self._server.clock.now


async def _open_link(server: MemoryServer, settings: ClientSettings, name: str) -> Link:
    if server.is_away:
        raise BusUnavailableError(url=settings.url, reason="the test has taken the bus away")
    connection = MemoryConnection(server)
    bus = Bus(connection, settings, name)
    connection.bus = bus
    link = await Link.over(
        bus, settings, publisher=_MemoryPublisher(bus), payloads=MemoryPayloads(bus, server)
    )
    return replace(link, delayed=_MemoryDelayedDoor(bus, server, limit_bytes=settings.delayed_max_bytes))
