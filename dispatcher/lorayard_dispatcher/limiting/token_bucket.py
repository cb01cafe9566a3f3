"""A token bucket whose clock is given: what comes in at a rate, and is taken in lumps.

A taker may overdraw it: jobs that wait for their turn are paid for when they come, and what another
dispatcher took is heard of late. The debt is paid before anybody else gets anything, so that in the long run
no more is taken than came in.
"""

from __future__ import annotations


class TokenBucket:
    """Times are seconds of any clock; one that goes back brings nothing in, and costs nothing."""

    __slots__ = ("_at", "_level", "per_second", "size")

    def __init__(self, *, per_second: float, size: float, now: float, level: float | None = None) -> None:
        """`level` None is a full bucket."""
        self.per_second = per_second
        self.size = size
        self._level = size if level is None else min(level, size)
        self._at = now

    def level(self, now: float) -> float:
        """What is in it; below 0 it is owed."""
        passed = now - self._at
        if passed:
            self._at = now
            if passed > 0.0:
                level = self._level + passed * self.per_second
                self._level = level if level < self.size else self.size
        return self._level

    def wait_seconds(self, amount: float, now: float) -> float:
        """Until there is as much; 0: it is there. More than the bucket holds goes when it is full."""
        lacking = (amount if amount < self.size else self.size) - self.level(now)
        return lacking / self.per_second if lacking > 0.0 else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take it, there or not."""
        self._level = self.level(now) - amount

    def give(self, amount: float, now: float) -> None:
        """Give back what was not used after all; it never holds more than its size."""
        self._level = min(self.size, self.level(now) + amount)
