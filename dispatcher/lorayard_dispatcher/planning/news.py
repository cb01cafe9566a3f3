"""Groups that something has come for, in the order in which plans look at them."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable


class News:
    """Each is looked at once; a burst of thousands is spread over plans, and none is passed over."""

    def __init__(self) -> None:
        self._new: set[str] = set()
        """Since the last plan: in what order they came in between makes no difference."""
        self._queue: deque[str] = deque()
        self._queued: set[str] = set()

    def __len__(self) -> int:
        return len(self._new | self._queued)

    def add(self, group: str) -> None:
        """A job came for it, or its adapter has."""
        self._new.add(group)

    def update(self, groups: Iterable[str]) -> None:
        """The same for several."""
        self._new.update(groups)

    def take(self, waiting: Container[str], most: int) -> list[str]:
        """The next ones to look at, of those with jobs that wait."""
        fresh = sorted(self._new - self._queued if self._queued else self._new)
        self._new.clear()
        if not self._queue and len(fresh) <= most:
            return [group for group in fresh if group in waiting]
        self._queue.extend(fresh)
        self._queued.update(fresh)
        found: list[str] = []
        queue, queued = self._queue, self._queued
        while queue and len(found) < most:
            group = queue.popleft()
            queued.discard(group)
            if group in waiting:
                found.append(group)
        return found
