"""Strikes in their bucket."""

from __future__ import annotations

from lorayard_schemas.strike import STRIKES, Strike, strike_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.chronicle import Chronicle
from lorayard_shared.registry.errors import StrikeUnknownError
from lorayard_shared.registry.records import Author


class StrikeStore:
    """Every change raises ContendedError, or `nats.errors.Error` where nobody answers."""

    def __init__(self, bus: Bus) -> None:
        self._chronicle = Chronicle(bus, "control", Strike, told=lambda one: one.label, prefix=STRIKES)

    async def list(self) -> list[Strike]:
        """What is struck, the longest first."""
        return sorted(await self._chronicle.list(), key=lambda one: (one.at, one.label))

    async def add(self, strike: Strike, author: Author) -> None:
        """Strike; what is struck already gets the newer reason."""
        await self._chronicle.change(
            strike_key(strike.adapter, strike.tenant),
            lambda _: strike,
            author,
            verb="strike",
            label=strike.label,
        )

    async def lift(self, adapter: str | None, tenant: str | None, author: Author) -> None:
        """Lift just this strike.

        Raises:
            StrikeUnknownError: there is none.
        """
        key = strike_key(adapter, tenant)
        known = (await self._chronicle.read(key)).now
        if known is None:
            raise StrikeUnknownError(adapter=adapter, tenant=tenant)
        await self._chronicle.change(key, lambda _: None, author, verb="lift", label=known.label)
