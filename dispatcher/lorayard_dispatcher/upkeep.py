"""Sees to it that what the yard needs on the server stays there, and tells what is missing."""

from __future__ import annotations

import asyncio

import nats.errors
import structlog

from lorayard_shared.bus.connection import ApiError, Bus
from lorayard_shared.bus.restore import restore
from lorayard_shared.bus.topology import topology
from lorayard_shared.errors import BusDeclarationError
from lorayard_shared.logs import Event

LOOK_SECONDS = 2.0
"""About 25 questions of 0.2 ms each; without its consumer a lane stands still for no longer."""


class Upkeep:
    """One dispatcher's looks at streams, buckets and consumers. All do the same, and none harms the other."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.missing: tuple[str, ...] = ()
        """Streams, buckets and `stream/consumer` that somebody has to declare again."""
        self._trouble = ""
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self._bus.connected:
                await self._look()

    async def _look(self) -> None:
        try:
            made, missing = await restore(self._bus, topology(self._bus.settings))
        except (BusDeclarationError, ApiError, nats.errors.Error) as error:
            self._tell_trouble(str(error) or type(error).__name__)
            return
        self._trouble = ""
        for name in made:
            self._log.warning(Event.BUS_RESTORED, what=name)
        if new := sorted(set(missing) - set(self.missing)):
            self._log.error(Event.BUS_DRIFTED, missing=new, mend="lorayard doctor --mend")
        self.missing = missing

    def _tell_trouble(self, reason: str) -> None:
        """Once for each: it is looked at every few seconds."""
        if reason != self._trouble:
            self._log.warning(Event.BUS_FAILED, error=reason)
        self._trouble = reason
