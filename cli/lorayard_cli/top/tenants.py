"""A client for each tenant whose jobs somebody asks about: a client speaks for one."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from lorayard import Client, ClientSettings

MOST_OPEN = 8
"""Connections beside the first; more than a person looks into at a time."""


class TenantClients:
    """The yard's client, and others as they are needed."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._yard = Client(settings=settings, name="top")
        self._others: dict[str, Client] = {}
        self._opening = asyncio.Lock()

    @property
    def yard(self) -> Client:
        """For all that is no tenant's own."""
        return self._yard

    async def of(self, tenant: str) -> Client:
        """A tenant's, open.

        Raises:
            BusUnavailableError: the bus is away.
        """
        if tenant == self._settings.tenant:
            return self._yard
        async with self._opening:
            found = self._others.pop(tenant, None)
            if found is None:
                found = Client(settings=self._settings, tenant=tenant, name="top")
                await found.open()
            self._others[tenant] = found  # the newest last
            if len(self._others) > MOST_OPEN:
                await self._others.pop(next(iter(self._others))).close()
            return found

    async def __aenter__(self) -> Self:
        await self._yard.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in (*self._others.values(), self._yard):
            await client.close()
