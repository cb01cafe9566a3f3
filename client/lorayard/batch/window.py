"""Lines that were read and not sent yet, given out adapter by adapter, so that adapters swap seldom.

Pure. The longest group goes first, and on until it is empty: new lines of its adapter join it meanwhile. All
groups together are bounded, so every other one grows until it is the longest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Window(Generic[T]):
    """Items by group, so many at most."""

    def __init__(self, capacity: int, *, groups_at_once: int = 1) -> None:
        self._capacity = capacity
        self._groups_at_once = groups_at_once
        self._groups: dict[Hashable, deque[T]] = {}
        self._current: list[Hashable] = []
        self._size = 0

    @property
    def room(self) -> int:
        """How many more fit."""
        return self._capacity - self._size

    def __len__(self) -> int:
        return self._size

    def add(self, group: Hashable, item: T) -> None:
        """Keep one more."""
        self._groups.setdefault(group, deque()).append(item)
        self._size += 1

    def take(self, count: int) -> list[T]:
        """The next ones, at most so many."""
        taken: list[T] = []
        while len(taken) < count and self._size:
            self._choose()
            for group in tuple(self._current):
                if len(taken) == count:
                    break
                taken.append(self._pop(group))
        return taken

    def _choose(self) -> None:
        free = self._groups_at_once - len(self._current)
        if free > 0:
            others = (group for group in self._groups if group not in self._current)
            longest = sorted(others, key=lambda group: -len(self._groups[group]))
            self._current += longest[:free]

    def _pop(self, group: Hashable) -> T:
        items = self._groups[group]
        item = items.popleft()
        self._size -= 1
        if not items:
            del self._groups[group]
            self._current.remove(group)
        return item
