"""Whether a dispatcher lives, and how long none has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lorayard_schemas.codec import decode
from lorayard_schemas.errors import MalformedMessageError
from lorayard_schemas.seat import DISPATCHER_KEY, DispatcherAdvert
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.topology import DISPATCHER_SILENT_SECONDS
from lorayard_shared.bus.watch import BucketWatch


class Dispatchers:
    """Follows the life signs of all dispatchers, which end by themselves 3 s after the last."""

    def __init__(self, bus: Bus, *, clock: Callable[[], float]) -> None:
        self._bus = bus
        self._clock = clock
        self._living: set[str] = set()
        self._none_since: float | None = None
        self.changed = asyncio.Event()
        """Set when one appears, or the last is gone."""
        self.default_adapter: str | None = bus.settings.default_adapter
        """What the last one heard gave jobs that name none."""
        self._watch = BucketWatch(
            bus,
            bus.subjects.bucket("dispatchers"),
            self._on_change,
            renewed_seconds=DISPATCHER_SILENT_SECONDS,
        )
        self.run = self._watch.run

    def none_for(self) -> float:
        """Seconds without any; 0 while one lives, or while nobody can know."""
        # While the bus is away nobody could pull, and what is written then goes unheard.
        if self._living or not self._bus.connected or not self._watch.ready.is_set():
            self._none_since = None
            return 0.0
        now = self._clock()
        if self._none_since is None:
            self._none_since = now
        return now - self._none_since

    def _on_change(self, key: str, value: bytes | None) -> None:
        if not key.startswith(DISPATCHER_KEY):
            return
        if value is None:
            self._living.discard(key)
        else:
            self._living.add(key)
            self._remember(value)
        self.changed.set()

    def _remember(self, value: bytes) -> None:
        try:
            self.default_adapter = decode(DispatcherAdvert, value).default_adapter
        except MalformedMessageError:
            return  # it lives, whatever it says
