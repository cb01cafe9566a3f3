"""A client of the yard for each tenant, all over one connection."""

from __future__ import annotations

import asyncio

from lorayard import Client
from lorayard.link import Link
from lorayard.publisher import Publisher
from lorayard.settings import ClientSettings
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.payloads import PayloadStore


class TenantClient(Client):
    """One tenant's; the connection is its owner's to close."""

    def __init__(self, bus: Bus, settings: ClientSettings, tenant: str) -> None:
        super().__init__(settings=settings, tenant=tenant, name="gateway")
        self._bus = bus

    async def _connect(self) -> Link:
        return await Link.over(
            self._bus, self._settings, publisher=Publisher(self._bus), payloads=PayloadStore(self._bus)
        )

    async def close(self) -> None:
        """Wait for nothing any more."""
        link, self._link = self._link, None
        if link is not None:
            await link.listener.close()


class TenantClients:
    """Opened when a tenant first asks, and kept: there are as many as keys have tenants."""

    def __init__(self, bus: Bus, settings: ClientSettings) -> None:
        self._bus = bus
        self._settings = settings
        self._open: dict[str, TenantClient] = {}
        self._opening = asyncio.Lock()

    async def of(self, tenant: str) -> Client:
        """The tenant's, open.

        Raises:
            nats.errors.Error: the connection is closed.
        """
        found = self._open.get(tenant)
        if found is not None:
            return found
        async with self._opening:
            if tenant not in self._open:
                made = TenantClient(self._bus, self._settings, tenant)
                await made.open()
                self._open[tenant] = made
            return self._open[tenant]

    async def close(self) -> None:
        """All of them."""
        while self._open:
            _, client = self._open.popitem()
            await client.close()
