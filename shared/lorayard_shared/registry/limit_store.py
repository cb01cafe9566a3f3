"""Limits of admission in their bucket."""

from __future__ import annotations

from collections.abc import Callable

from lorayard_schemas.limit import LIMITS, Limits, label_of, limits_key
from lorayard_shared.bus.connection import Bus
from lorayard_shared.registry.chronicle import Chronicle
from lorayard_shared.registry.errors import LimitsUnknownError
from lorayard_shared.registry.records import Author


class LimitStore:
    """Every change raises ContendedError, or `nats.errors.Error` where nobody answers."""

    def __init__(self, bus: Bus) -> None:
        self._chronicle = Chronicle(bus, "tenants", Limits, told=told, prefix=LIMITS)

    async def list(self) -> list[Limits]:
        """All there are, by whose they are."""
        return sorted(await self._chronicle.list(), key=lambda one: (one.tenant or "", one.adapter or ""))

    async def find(self, tenant: str | None, adapter: str | None) -> Limits | None:
        """Somebody's."""
        return (await self._chronicle.read(limits_key(tenant, adapter))).now

    async def change(
        self,
        tenant: str | None,
        adapter: str | None,
        changed: Callable[[Limits | None], Limits | None],
        author: Author,
    ) -> Limits | None:
        """Write what `changed` makes of somebody's limits; None takes them away.

        Raises:
            LimitsUnknownError: there is nothing to take away.
        """

        def judged(now: Limits | None) -> Limits | None:
            wanted = changed(now)
            if now is None and wanted is None:
                raise LimitsUnknownError(label=label_of(tenant, adapter))
            return wanted

        return await self._chronicle.change(
            limits_key(tenant, adapter),
            lambda known: judged(known.now),
            author,
            verb="limit",
            label=label_of(tenant, adapter),
        )


def told(limits: Limits) -> str:
    """What they are, in a line."""
    parts = [
        *(
            f"{rate.amount:g} {measure} in {rate.per_seconds:g} s (burst {rate.size:g}"
            + (f", waits {rate.wait_seconds:g} s)" if rate.wait_seconds else ")")
            for measure, rate in limits.rates.items()
        ),
        *(f"{amount:g} {measure} a day" for measure, amount in limits.per_day.items()),
        *(f"{amount:g} {measure} a month" for measure, amount in limits.per_month.items()),
        *(f"{amount:g} {measure} pending" for measure, amount in limits.max_pending.items()),
    ]
    return ", ".join(parts)
