"""Tells a tenant's clients what would surely be refused now, so that they need not publish it to hear so.

Core messages, which may be lost: who does not hear one publishes, and is refused by the dispatcher. A door
stays shut for two seconds at most and is shut again by the next job that comes in vain, so that one whose
limit was raised, or whose dispatcher is gone, opens by itself.
"""

from __future__ import annotations

from contextlib import suppress

import nats.errors

from lorayard_dispatcher.limiting.gate import MEASURES, Reached, wire_limit
from lorayard_schemas.codec import encode
from lorayard_schemas.limit import ClosedDoor, Measure
from lorayard_schemas.result import ErrorKind, ResultError
from lorayard_shared.bus.connection import Bus

SHUT_SECONDS = 2.0
PENDING_SECONDS = 0.5
"""Some job may end at any moment."""
LEAST_SECONDS = 0.05
"""A shorter one would be open before it is heard of."""


class Doors:
    """One dispatcher's notices."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._shut: dict[str, float] = {}
        """Tenant -> monotonic seconds, until when."""

    def shut(self, tenant: str, reached: Reached, error: ResultError, now: float) -> None:
        """A job was refused: if any other would be, say so."""
        seconds = _sure_seconds(reached, now)
        if error.kind is not ErrorKind.RETRYABLE or seconds < LEAST_SECONDS:
            return
        self._shut[tenant] = max(self._shut.get(tenant, 0.0), now + seconds)
        adapter = reached.gate.key[1]
        self._tell(tenant, _notice(reached, adapter, seconds, error))

    def open_all(self) -> None:
        """Limits have changed: whoever is shut out may try again."""
        for tenant in self._shut:
            self._tell(tenant, None)
        self._shut.clear()

    def _tell(self, tenant: str, notice: ClosedDoor | None) -> None:
        with suppress(nats.errors.Error):  # they publish, and are told then
            body = b"" if notice is None else encode(notice)
            self._bus.nc.post(self._bus.subjects.door(tenant), body)


def _notice(reached: Reached, adapter: str | None, seconds: float, error: ResultError) -> ClosedDoor:
    return ClosedDoor(
        limit=wire_limit(reached),
        adapter=adapter,
        seconds=seconds,
        retry_after_seconds=error.retry_after_seconds,
        message=error.message,
    )


def _sure_seconds(reached: Reached, now: float) -> float:
    """How long every job would be refused, however small."""
    retry = reached.retry_after_seconds or 0.0
    if MEASURES[reached.measure] is not Measure.REQUESTS:
        rates = {rate.name: rate.bucket for rate in reached.gate.rates}
        bucket = rates.get(reached.name)
        left = reached.value - (reached.used or 0.0) if bucket is None else bucket.level(now)
        if left > 0.0:
            return 0.0  # a smaller one may pass
        if bucket is not None:
            retry = min(retry, -left / bucket.per_second)
    most = PENDING_SECONDS if reached.name.startswith("max_pending") else SHUT_SECONDS
    return min(retry, most)
