"""Whether a worker does its work: progress, not that a process exists."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator

from lorayard_schemas.advert import MAX_FAULTS
from lorayard_shared.bus.connection import Bus
from lorayard_shared.bus.watch import BucketWatch
from lorayard_workers.engine.protocol import Engine
from lorayard_workers.pulse import Pulse
from lorayard_workers.service.presence import Presence

LOOK_SECONDS = 0.25
"""Between two looks; what is found is told at once."""

STILL_SECONDS = 1.5
"""At one piece of work; with the next look and advert less than two."""

LONGEST_PIECES = 3.0
"""Where pieces are long, one is only long beside those before it."""

STARTING = "it is still starting"


class WorkerHealth:
    """Looks at the parts of one worker."""

    def __init__(self, bus: Bus, engine: Engine, presence: Presence, watches: Iterable[BucketWatch]) -> None:
        self._bus, self._engine, self._presence = bus, engine, presence
        self._watches = tuple(watches)
        self._faults: tuple[str, ...] = ()
        self.serving = False
        """Whether its start is over."""
        presence.faults = self.faults

    def missing(self) -> tuple[str, ...]:
        """What keeps it from taking jobs, in sentences; none: nothing."""
        presence = self._presence
        told = {
            "the bus is away": not self._bus.connected,
            STARTING: not self.serving,
            "its engine does not work": not self._engine.alive(),
            presence.trouble or "it is in trouble": bool(presence.trouble),
            "it drains": presence.draining,
            "somebody has paused it": presence.paused(),
        }
        return (*(why for why, so in told.items() if so), *(self.faults() if self._bus.connected else ()))

    def faults(self) -> tuple[str, ...]:
        """What makes no progress."""
        return tuple(self._found(time.monotonic()))[:MAX_FAULTS]

    async def run(self) -> None:
        """Tell the yard when that changes, until cancelled."""
        while True:
            if (found := self.faults()) != self._faults:
                self._faults = found
                self._presence.changed()
            await asyncio.sleep(LOOK_SECONDS)

    def _found(self, now: float) -> Iterator[str]:
        for pulse in self._engine.pulses:
            if (piece := stuck_at(pulse, now)) is not None:
                yield f"its thread {pulse.name} is still at {piece}"
        for watch in self._watches:
            if watch.blind:
                yield f"it does not hear what changes in {watch.bucket}"


def stuck_at(pulse: Pulse, now: float) -> str | None:
    """The piece of work that a thread makes no progress with at `now` (monotonic); it is ended much later."""
    found = pulse.in_hand(now)
    if found is None or found[1] <= max(STILL_SECONDS, LONGEST_PIECES * pulse.longest_seconds):
        return None
    return found[0]
