"""Adapter memory of an engine without a model."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from lorayard_workers.engine.outcome import Tier
from lorayard_workers.errors import CapacityError
from lorayard_workers.memory.eviction import HALF_LIFE_SECONDS

EWMA_SHARE = 0.2
"""As in the loader of real engines, which imports a model's code."""

HOST_PER_SLOT = 4
"""Adapters the pretended host tier remembers per slot: a plain ratio of real worker set-ups."""


@dataclass(slots=True)
class _Slot:
    found: Tier  # where the adapter was before
    ready_at: float
    last_used: float = 0.0
    rows: int = 0


@dataclass(slots=True)
class EchoSlots:
    """Pretended adapter memory: plain LRU slots over a plain LRU host tier."""

    count: int
    slots: OrderedDict[str, _Slot] = field(default_factory=OrderedDict[str, _Slot])
    host: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])
    load_seconds: float = 0.0  # host -> slot
    disk_seconds: float = 0.0  # disk -> host
    load_ms_host: float = 0.0  # EWMA
    load_ms_disk: float = 0.0
    _arriving: dict[str, float] = field(default_factory=dict[str, float])  # when they are in the host tier
    rows: int = 0
    hits: int = 0
    loads: int = 0
    disk_loads: int = 0
    evictions: int = 0
    pinned: frozenset[str] = frozenset()
    doublings: Mapping[str, float] = field(default_factory=dict[str, float])
    """Of what an adapter's uses count, by digest."""
    _leaving: set[str] = field(default_factory=set[str])

    def lease(self, digest: str, now: float) -> tuple[Tier, float] | None:
        """Take a slot for one row: where the adapter was, and the load time left; None if no slot is free."""
        self.arrive(now)
        slot = self.slots.get(digest)
        if slot is None:
            if len(self.slots) >= self.count and not self._evict():
                return None
            slot = self._load(digest, now)
            tier = slot.found
        elif slot.ready_at > now:
            tier = slot.found  # it waits for what another row brings
        else:
            tier = Tier.SLOT
            self.hits += 1
        self.slots.move_to_end(digest)
        self.rows += 1
        slot.rows += 1
        slot.last_used = now
        return tier, max(0.0, slot.ready_at - now)

    def _load(self, digest: str, now: float) -> _Slot:
        """Into a slot; a row's load waits for no prefetch but its own."""
        tier, in_host_at = Tier.HOST, now
        if digest not in self.host:
            tier, in_host_at = Tier.DISK, min(now + self.disk_seconds, self._arriving.get(digest, math.inf))
        self._arriving.pop(digest, None)
        self._remember(digest)
        slot = self.slots[digest] = _Slot(tier, in_host_at + self.load_seconds)
        self.loads += 1
        self.load_ms_host = _mean(self.load_ms_host, self.load_seconds)
        return slot

    def count_merged(self) -> None:
        """A row whose adapter is in the weights: a hit."""
        self.rows += 1
        self.hits += 1

    def release(self, digest: str) -> None:
        """Give a row's lease back."""
        self.slots[digest].rows -= 1
        self.settle()

    def pin(self, digest: str) -> None:
        """Into a slot once one is free, and never out again. Raises CapacityError."""
        pins = self.pinned | {digest}
        if len(pins) >= self.count:
            raise CapacityError(
                f"{len(pins)} pinned adapters and one other",
                needed=len(pins) + 1,
                limit=self.count,
                setting="slots",
            )
        self.pinned = pins
        self._leaving.discard(digest)
        self.settle()

    def unpin(self, digest: str) -> None:
        """It may be evicted again."""
        self.pinned -= {digest}

    def preload(self, digest: str) -> None:
        """Into a slot if one is free or idle, else only into host memory."""
        self._place(digest)
        self._remember(digest)

    def unload(self, digest: str) -> None:
        """Out of slot and host tier once no row uses it."""
        self.unpin(digest)
        self._leaving.add(digest)
        self.settle()

    def settle(self) -> None:
        """Place what is pinned, let go what shall leave, as far as rows permit."""
        if not self.pinned and not self._leaving:
            return
        for digest in sorted(self.pinned):
            self._place(digest)
        for digest in sorted(self._leaving):
            slot = self.slots.get(digest)
            if slot is None or not slot.rows:
                self.slots.pop(digest, None)
                self.host.pop(digest, None)
                self._arriving.pop(digest, None)
                self._leaving.discard(digest)

    def _place(self, digest: str) -> None:
        if digest not in self.slots and (len(self.slots) < self.count or self._evict()):
            self._load(digest, -math.inf)

    @property
    def loading(self) -> frozenset[str]:
        """On the way into the host tier."""
        return frozenset(self._arriving)

    @property
    def host_room(self) -> int:
        """Adapters that the host tier takes before any has to make way."""
        return max(0, self.count * HOST_PER_SLOT - len(self.host) - len(self._arriving))

    def fetch(self, digest: str, now: float) -> None:
        """Into the host tier ahead of time, one after the other."""
        self._leaving.discard(digest)
        if digest not in self.host:
            self._arriving.setdefault(digest, max([now, *self._arriving.values()]) + self.disk_seconds)
        self.arrive(now)

    def arrive(self, now: float) -> None:
        """What has had its time is in the host tier."""
        for digest in [digest for digest, at in self._arriving.items() if at <= now]:
            del self._arriving[digest]
            self._remember(digest)

    def _remember(self, digest: str) -> None:
        if digest not in self.host:
            self.disk_loads += 1
            self.load_ms_disk = _mean(self.load_ms_disk, self.disk_seconds)
        self.host[digest] = None
        self.host.move_to_end(digest)
        if len(self.host) > self.count * HOST_PER_SLOT:
            self.host.popitem(last=False)

    def _evict(self) -> bool:
        idle = [d for d, slot in self.slots.items() if slot.rows == 0 and d not in self.pinned]
        if not idle:
            return False
        victim = idle[0]
        if self.doublings:  # as real engines do with what was used as often
            kept = HALF_LIFE_SECONDS
            victim = min(idle, key=lambda d: self.slots[d].last_used + kept * self.doublings.get(d, 0.0))
        del self.slots[victim]
        self.evictions += 1
        return True


def _mean(before_ms: float, seconds: float) -> float:
    """With one more load, as real engines keep it."""
    return before_ms + EWMA_SHARE * (seconds * 1000 - before_ms) if before_ms else seconds * 1000
