"""How much of the yard's store a tenant may have, so that none fills it alone.

What counts is all files of the tenant, batches' own too, and what it is bringing in through this gateway.
Other gateways count for themselves: what they take in at the same moment may come on top.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from lorayard_gateway.files.errors import share_used_up
from lorayard_gateway.files.store import FileStore

MOST_FILES = 10_000
"""Of one tenant: all are read for a listing, and to know what they sum up to."""


class Share:
    """One tenant's, while uploads of it are under way here."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self.used_bytes = 0
        self.coming_bytes = 0
        self.uploads = 0

    @property
    def left_bytes(self) -> int:
        """What may come yet."""
        return max(0, self._most - self.used_bytes - self.coming_bytes)


class Incoming:
    """What one upload takes of a share."""

    def __init__(self, share: Share, most_bytes: int) -> None:
        self._share, self._most = share, most_bytes
        self._taken_bytes = 0

    def expect(self, size_bytes: int) -> None:
        """Whether so many more bytes would fit.

        Raises:
            ApiError: they would not.
        """
        if size_bytes > self._share.left_bytes:
            raise share_used_up(self._most, MOST_FILES)

    def take(self, size_bytes: int) -> None:
        """They have come.

        Raises:
            ApiError: they do not fit.
        """
        self.expect(size_bytes)
        self._share.coming_bytes += size_bytes
        self._taken_bytes += size_bytes

    def keep(self) -> None:
        """They are a file now."""
        self._share.used_bytes += self._taken_bytes
        self.give_back()

    def give_back(self) -> None:
        """They are not coming any more."""
        self._share.coming_bytes -= self._taken_bytes
        self._taken_bytes = 0


class TenantRoom:
    """The shares of all tenants."""

    def __init__(self, store: FileStore, most_bytes: int) -> None:
        self._store, self._most = store, most_bytes
        self._shares: dict[str, Share] = {}

    async def check(self, tenant: str) -> int:
        """The bytes that a tenant's files have.

        Raises:
            ApiError: that is as much as they may, or there are as many of them.
            nats.errors.Error: nobody can tell.
        """
        found = await self._store.list(tenant)
        used = sum(one.size_bytes for one in found)
        if used >= self._most or len(found) >= MOST_FILES:
            raise share_used_up(self._most, MOST_FILES)
        return used

    def coming_bytes(self, tenant: str) -> int:
        """What a tenant is bringing in through this gateway."""
        share = self._shares.get(tenant)
        return 0 if share is None else share.coming_bytes

    @asynccontextmanager
    async def incoming(self, tenant: str) -> AsyncGenerator[Incoming]:
        """Room for one upload, which is given back unless it is kept.

        Raises:
            ApiError, nats.errors.Error: as `check`.
        """
        share = self._shares.setdefault(tenant, Share(self._most))
        share.uploads += 1
        incoming = Incoming(share, self._most)
        try:
            share.used_bytes = await self.check(tenant)
            yield incoming
        finally:
            incoming.give_back()
            share.uploads -= 1
            if not share.uploads:
                self._shares.pop(tenant, None)
