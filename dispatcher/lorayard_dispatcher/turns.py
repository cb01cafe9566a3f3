"""When to look at a worker again though nothing is heard of it."""

from __future__ import annotations

import heapq
import math


class Turns:
    """The next turn of each name; times are of one clock, the caller's."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        """One entry counts for each name: that of `_turn_of`."""
        self._turn_of: dict[str, float] = {}

    def add(self, name: str, at: float) -> None:
        """Its turn is then, unless it is sooner anyway."""
        if at < self._turn_of.get(name, math.inf):
            self._turn_of[name] = at
            heapq.heappush(self._heap, (at, name))

    def drop(self, name: str) -> None:
        """It has no turn any more."""
        self._turn_of.pop(name, None)

    def due(self, now: float) -> str | None:
        """A name whose turn was before `now`, which is over with this; None: there is none."""
        while self._heap and self._heap[0][0] < now:
            at, name = heapq.heappop(self._heap)
            if self._turn_of.get(name) == at:  # else an earlier turn took its place
                del self._turn_of[name]
                return name
        return None
