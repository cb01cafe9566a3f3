"""One log line for what happens again and again, with how often it did."""

from __future__ import annotations

from collections.abc import Callable


class Repeated:
    """Counts, and says when the count is worth a line: at once the first time, then once per interval."""

    def __init__(self, *, every_seconds: float, clock: Callable[[], float]) -> None:
        self._every_seconds = every_seconds
        self._clock = clock
        self._due_at: float | None = None
        self._times = 0

    def again(self) -> int | None:
        """Count once more; returns the times since the last line when one is due."""
        self._times += 1
        now = self._clock()
        if self._due_at is not None and now < self._due_at:
            return None
        times, self._times, self._due_at = self._times, 0, now + self._every_seconds
        return times
