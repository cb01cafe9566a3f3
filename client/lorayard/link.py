"""What the parts of one open client share: the connection and who uses it for what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lorayard.delayed_door import DelayedDoor
from lorayard.limit_door import LimitDoor
from lorayard.listener import ResultListener
from lorayard.publisher import Publisher
from lorayard.settings import ClientSettings
from lorayard.stored_results import StoredResults
from lorayard_shared.bus.connection import Bus, connect
from lorayard_shared.bus.payloads import PayloadStore

if TYPE_CHECKING:
    from lorayard_shared.registry.records import Author

NOT_CONFIRMED = "not confirmed"
"""What came of an act that was broken off, or got no answer: it may have been done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One connection of one tenant."""

    settings: ClientSettings
    bus: Bus
    payloads: PayloadStore
    listener: ResultListener
    publisher: Publisher
    delayed: DelayedDoor
    door: LimitDoor

    @property
    def tenant(self) -> str:
        """Whose jobs these are."""
        return self.settings.tenant

    def author(self, reason: str) -> Author:
        """Who changes something over this connection, and why."""
        from lorayard_shared.registry.records import Author  # only who changes something needs it

        return Author(actor=self.settings.actor, reason=reason)

    async def tell_act(
        self, verb: str, *, tenant: str | None, job: str = "", jobs: int = 1, about: str = ""
    ) -> None:
        """Keep in the audit trail who did this to jobs; what is lost of it is logged, and fails nothing."""
        from lorayard_shared.audit.acts import tell_act

        actor = self.settings.actor
        await tell_act(self.bus, actor=actor, verb=verb, tenant=tenant, job=job, jobs=jobs, about=about)

    @asynccontextmanager
    async def acting(
        self, verb: str, *, tenant: str | None, job: str = "", jobs: int = 1, about: str = ""
    ) -> AsyncGenerator[None]:
        """Do it while `tell_act` writes: who is broken off in the midst has done some of it all the same."""
        telling = asyncio.create_task(
            self.tell_act(verb, tenant=tenant, job=job, jobs=jobs, about=about), name=f"audit-{verb}"
        )
        try:
            yield
        finally:
            await telling

    @classmethod
    async def open(cls, settings: ClientSettings, *, name: str) -> Self:
        """Connect.

        Raises:
            BusUnavailableError: no server at the address, or it refused the credentials.
        """
        bus = await connect(settings, name=name)
        return await cls.over(bus, settings, publisher=Publisher(bus), payloads=PayloadStore(bus))

    @classmethod
    async def over(
        cls, bus: Bus, settings: ClientSettings, *, publisher: Publisher, payloads: PayloadStore
    ) -> Self:
        """The parts over one connection."""
        stored = StoredResults(bus, settings.tenant)
        await publisher.start()
        return cls(
            settings=settings,
            bus=bus,
            payloads=payloads,
            listener=ResultListener(bus, settings.tenant, stored),
            publisher=publisher,
            door=LimitDoor(bus, settings.tenant),
            delayed=DelayedDoor(bus, limit_bytes=settings.delayed_max_bytes),
        )

    async def close(self) -> None:
        """The poll first, then the connection: nothing asks a closed one."""
        await self.listener.close()
        await self.bus.close()
