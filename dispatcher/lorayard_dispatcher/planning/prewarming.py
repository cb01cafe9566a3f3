"""Which adapters should have copies in host memory before anybody asks for them.

The first job of an adapter would otherwise wait for a disk, and so would each further replica. Copies are
looked after one tier at a time: first one of every adapter that is registered, then more of those that are
asked for, so that whoever loads them next finds them near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from types import MappingProxyType

from lorayard_dispatcher.planning.demand import Demand

SWEEP_SECONDS = 5.0
"""Between two walks over all adapters: workers come and go, and copies make way for others."""

MOST_LOOKED_AT = 64
"""Adapters in one plan: ten thousand are walked in eight seconds."""

UNWEIGHED: Mapping[str, float] = MappingProxyType({})


class Prewarming:
    """The walk over what is registered. It keeps an order of work, not what is where."""

    def __init__(self) -> None:
        self._known: tuple[str, ...] = ()
        self._left: dict[str, None] = {}
        self.copies = 1
        """What the adapters at hand should have."""
        self._swept_at: float | None = None

    def expect(self, adapters: Iterable[str]) -> None:
        """These may be asked for; in this order, while nothing is known of demand."""
        self._known = tuple(adapters)
        self._left.clear()
        self._swept_at = None

    def is_due(self, most_copies: int, now: float) -> bool:
        """Whether there is anything to look at."""
        if not self._known or not most_copies:
            return False
        return bool(self._left) or self.copies < most_copies or self._is_sweep_due(now)

    def next(
        self, demand: Demand, most_copies: int, now: float, worth_of: Mapping[str, float] = UNWEIGHED
    ) -> list[str]:
        """Adapters to look at now; they come again until they are `done`. What is worth more comes first."""
        if not self._left and self.is_due(most_copies, now):
            self._go_on(demand, now)
            if worth_of:
                self._left = dict.fromkeys(sorted(self._left, key=lambda group: -worth_of.get(group, 1.0)))
        return list(islice(self._left, MOST_LOOKED_AT))

    def done(self, adapter: str) -> None:
        """It has its copies, or gets one now, or no worker has room for one."""
        del self._left[adapter]

    def _go_on(self, demand: Demand, now: float) -> None:
        """One more copy of what is asked for, or all over again."""
        known = set(self._known)
        wanted = [group for group in demand.busiest(now) if group in known]
        if self._is_sweep_due(now):
            self._swept_at, self.copies = now, 1
            self._left = dict.fromkeys((*wanted, *self._known))
        else:
            self.copies += 1
            self._left = dict.fromkeys(wanted)

    def _is_sweep_due(self, now: float) -> bool:
        return self._swept_at is None or not 0.0 <= now - self._swept_at < SWEEP_SECONDS
