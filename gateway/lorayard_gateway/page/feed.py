"""The one reader of the yard behind all pages of a gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress

import nats.errors
import structlog

from lorayard.errors import LorayardError
from lorayard_gateway.catalogue import Catalogue
from lorayard_gateway.page.channel import Channel
from lorayard_gateway.page.pasts import Pasts
from lorayard_gateway.page.sight import Sight, away, of_tenant, sight_of
from lorayard_schemas.snapshot import YardSnapshot
from lorayard_shared.bus.connection import ApiError
from lorayard_shared.logs import Event

READ_SECONDS = 1.0
"""Between two readings while somebody looks."""

IDLE_SECONDS = 10.0
"""While nobody does: so that plots have a past when somebody comes."""

Read = Callable[[], Awaitable[YardSnapshot]]


class Feed:
    """Channels of what can be seen: the yard, and each tenant's part of it where somebody looks at that."""

    def __init__(self, read: Read, catalogue: Catalogue) -> None:
        self._read = read
        self._catalogue = catalogue
        self.yard = Channel()
        self.pasts = Pasts()
        self._tenants: dict[str, Channel] = {}
        self._sequence = 0
        self._wanted = asyncio.Event()
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(part="page")

    @property
    def viewers(self) -> int:
        """Open pages."""
        return self.yard.viewers + sum(channel.viewers for channel in self._tenants.values())

    def viewers_of(self, tenant: str) -> int:
        """Those of them that see one tenant's part."""
        channel = self._tenants.get(tenant)
        return 0 if channel is None else channel.viewers

    @contextmanager
    def watched(self, scope: str | None) -> Generator[Channel]:
        """A channel, while somebody reads it."""
        channel = self.yard if scope is None else self._channel(scope)
        channel.viewers += 1
        self._wanted.set()
        try:
            yield channel
        finally:
            channel.viewers -= 1
            if scope is not None and not channel.viewers:
                self._tenants.pop(scope, None)

    async def run(self) -> None:
        """Read again and again."""
        while True:
            began = time.monotonic()
            await self._look()
            self._wanted.clear()
            pause = READ_SECONDS if self.viewers else IDLE_SECONDS
            left = max(0.0, began + pause - time.monotonic())
            if self.viewers:
                await asyncio.sleep(max(left, READ_SECONDS / 2))
            else:
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._wanted.wait()

    async def _look(self) -> None:
        try:
            snapshot = await self._read()
        except (LorayardError, ApiError, nats.errors.Error, TimeoutError) as error:
            self._show(away(self.yard.sight, str(error) or type(error).__name__))
            return
        except Exception as error:  # noqa: BLE001  # the top of a loop: the next reading may be well
            self._log.exception(Event.LOOP_FAILED, task="page-feed")
            self._show(
                away(self.yard.sight, f"the gateway failed: {type(error).__name__}; its log says more")
            )
            return
        if snapshot.sequence != self._sequence or self.yard.sight.head.get("away"):
            self._sequence = snapshot.sequence
            self._show(sight_of(snapshot, self.yard.sight))
            self.pasts.add(snapshot.at, self.yard.sight.tables["adapters"])

    def _show(self, sight: Sight) -> None:
        self.yard.show(sight)
        for tenant, channel in self._tenants.items():
            channel.show(self._of_tenant(tenant))

    def _channel(self, tenant: str) -> Channel:
        channel = self._tenants.get(tenant)
        if channel is None:
            channel = self._tenants[tenant] = Channel()
            channel.show(self._of_tenant(tenant))
        return channel

    def _of_tenant(self, tenant: str) -> Sight:
        return of_tenant(self.yard.sight, tenant, self._catalogue.usable(tenant))
