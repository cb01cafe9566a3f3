"""What a client knows of the stream of scheduled jobs: the server's clock, and whether there is room.

A stream with schedules cannot refuse what is over its `max_bytes` (it would let the oldest go instead), so it
has none, and the bound is kept here, at the door.
"""

from __future__ import annotations

import time
from datetime import datetime

import nats.errors

from lorayard.errors import BusUnavailableError, YardFullError, YardNotReadyError
from lorayard_shared.bus.connection import ApiError, Bus

LOOK_SECONDS = 1.0
"""For so long what was seen is good: a burst asks once."""


class DelayedDoor:
    """One client's view of the stream."""

    def __init__(self, bus: Bus, *, limit_bytes: int) -> None:
        self._bus = bus
        self._limit_bytes = limit_bytes
        self._looked = float("-inf")
        self._ahead_seconds = 0.0
        self._bytes = 0

    async def enter(self, size_bytes: int) -> None:
        """Count a message in.

        Raises:
            YardFullError: as much is scheduled as may be.
        """
        await self._look()
        if self._bytes + size_bytes > self._limit_bytes:
            reason = f"{self._bytes} bytes of scheduled jobs wait, at most {self._limit_bytes}"
            raise YardFullError(reason=f"{reason} (LORAYARD_DELAYED_MAX_BYTES)")
        self._bytes += size_bytes

    async def now(self) -> float:
        """Unix seconds by the server's clock, a round trip's time behind at most.

        Raises:
            YardNotReadyError: there is no such stream.
            BusUnavailableError: nobody answers.
        """
        await self._look()
        return time.monotonic() + self._ahead_seconds

    async def _look(self) -> None:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        stream = self._bus.subjects.stream("delayed")
        try:
            info = await self._bus.api(f"STREAM.INFO.{stream}")
        except (ApiError, nats.errors.NoRespondersError) as error:
            raise YardNotReadyError(prefix=self._bus.subjects.prefix, missing=f"stream {stream}") from error
        except nats.errors.Error as error:
            reason = str(error).removeprefix("nats: ") or type(error).__name__
            raise BusUnavailableError(url=self._bus.settings.url, reason=reason) from error
        self._looked = time.monotonic()
        self._ahead_seconds = datetime.fromisoformat(str(info["ts"])).timestamp() - self._looked
        self._bytes = int(info["state"]["bytes"])
