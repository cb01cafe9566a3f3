"""Lines that are to be sent once more, each from its time on. Pure."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count

from lorayard.batch.work import Work


class Later:
    """The soonest first."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Work]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def soonest(self) -> float | None:
        """When the next one is due, by the loop's clock."""
        return self._waiting[0][0] if self._waiting else None

    def put(self, work: Work) -> None:
        """Keep it until its time."""
        heappush(self._waiting, (work.not_before, next(self._numbers), work))

    def due(self, now: float, most: int) -> list[Work]:
        """Those whose time has come, at most so many."""
        found: list[Work] = []
        while len(found) < most and self._waiting and self._waiting[0][0] <= now:
            found.append(heappop(self._waiting)[2])
        return found
