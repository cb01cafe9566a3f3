"""How fast jobs leave the queue, by the stream's own counts: when there will be room in a full one."""

from __future__ import annotations

import time

import nats.errors

from lorayard_shared.bus.connection import ApiError, Bus

SAMPLE_SECONDS = 2.0
"""One request of 0.2 ms."""

MEMORY = 0.3
"""Weight of the last sample: half of what is known is from the last four seconds."""

ROOM_SHARE = 0.01
"""Of the queue: many publishers wait for room together, and one place would be gone at once."""

LEAST_SECONDS, MOST_SECONDS = 0.2, 60.0


class Drain:
    """One dispatcher's samples."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._last: tuple[float, int] | None = None
        self._sampled_at = 0.0
        self.per_second: float | None = None
        self.jobs = 0

    async def sample(self) -> None:
        """Ask, if it is time."""
        now = time.monotonic()
        if now - self._sampled_at < SAMPLE_SECONDS:
            return
        self._sampled_at = now
        try:
            info = await self._bus.api(f"STREAM.INFO.{self._bus.subjects.stream('jobs')}")
        except (ApiError, nats.errors.Error):
            return
        state = info["state"]
        self.jobs = int(state["messages"])
        self.see(now, int(state["last_seq"]) - self.jobs)

    def see(self, now: float, gone: int) -> None:
        """So many jobs had left by then."""
        last, self._last = self._last, (now, gone)
        if last is None or now <= last[0] or gone < last[1]:
            return
        per_second = (gone - last[1]) / (now - last[0])
        known = self.per_second
        self.per_second = per_second if known is None else known + MEMORY * (per_second - known)

    @property
    def room_in_seconds(self) -> float | None:
        """Until a part of the queue has left; None: nothing leaves, as far as is known."""
        if not self.per_second:
            return None
        return min(max(ROOM_SHARE * self.jobs / self.per_second, LEAST_SECONDS), MOST_SECONDS)
