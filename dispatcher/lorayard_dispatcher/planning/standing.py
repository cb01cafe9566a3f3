"""The groups of one lane by the age of their oldest job, and by how much waits.

Whole looks read it, some twenty a second, while groups change with every job: so it notes who has changed,
and is brought up to date when it is read.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lorayard_dispatcher.planning.values import WaitingJob


class _Place(NamedTuple):
    """Where a group stands."""

    enqueued_at: float
    key: str
    digits: int  # of the number of its jobs, in binary: large groups do not move with every job


class Standing:
    """Who is the oldest, and who the largest."""

    __slots__ = ("_changed", "_heads", "_look", "_places", "_sizes")

    def __init__(self, look: Callable[[str], tuple[WaitingJob, int] | None]) -> None:
        """`look` says a group's oldest job and how many wait; None: none do."""
        self._look = look
        self._changed: set[str] = set()
        self._places: dict[str, _Place] = {}
        self._heads: list[tuple[float, str, str]] = []
        self._sizes: list[tuple[int, str]] = []

    def change(self, group: str) -> None:
        """Its oldest job is another, or many more or fewer wait."""
        self._changed.add(group)

    @property
    def heads(self) -> Sequence[tuple[float, str, str]]:
        """(enqueued, key, group) of each group's oldest job, sorted."""
        self._bring_up_to_date()
        return self._heads

    @property
    def sizes(self) -> Sequence[tuple[int, str]]:
        """(-binary digits of the size, group), sorted: the largest first, and stable."""
        self._bring_up_to_date()
        return self._sizes

    def _bring_up_to_date(self) -> None:
        for group in self._changed:
            found = self._look(group)
            before = self._places.pop(group, None)
            now = None
            if found is not None:
                now = self._places[group] = _Place(found[0].enqueued_at, found[0].key, found[1].bit_length())
            self._move(group, before, now)
        self._changed.clear()

    def _move(self, group: str, before: _Place | None, now: _Place | None) -> None:
        if before == now:
            return
        if before is not None:
            del self._heads[bisect_left(self._heads, (before.enqueued_at, before.key, group))]
        if now is not None:
            insort(self._heads, (now.enqueued_at, now.key, group))
        if before is not None and now is not None and before.digits == now.digits:
            return
        if before is not None:
            del self._sizes[bisect_left(self._sizes, (-before.digits, group))]
        if now is not None:
            insort(self._sizes, (-now.digits, group))
