"""What the same jobs would have cost in loads, given out in turn as they came: the yardstick of grouping.

A worker per turn, as a plain queue in front of inference servers would do it, each with the slots of the real
one and least-recently-used eviction.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class ArrivalOrder:
    """Counts loads under round robin, job by job."""

    def __init__(self) -> None:
        self._slots: dict[str, OrderedDict[str, None]] = {}
        self._turn = 0
        self.loads = 0

    def see(self, group: str, workers: Sequence[tuple[str, int]]) -> None:
        """One job arrives while these workers (name, slots) live; the base model needs no slot."""
        if not workers:
            return
        name, slots = workers[self._turn % len(workers)]
        self._turn += 1
        if not group or slots <= 0:
            return
        resident = self._slots.setdefault(name, OrderedDict())
        if group in resident:
            resident.move_to_end(group)
            return
        self.loads += 1
        resident[group] = None
        while len(resident) > slots:
            resident.popitem(last=False)
