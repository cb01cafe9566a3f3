"""The host tier: adapters cast, scaled and packed per input group, one copy away from a slot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from lorayard_workers.errors import CapacityError, InvariantError
from lorayard_workers.memory.eviction import Candidate, Usage, Worth, choose_victims
from lorayard_workers.memory.packing import HostAdapter

AHEAD_SECONDS = 10.0
"""How long a prefetched adapter waits for its first use before another may take its place: whoever asked for
it does so for jobs that wait now."""

ROOM_UNMEASURED = 4
"""Adapters that are said to find room while none has been held: the first ones show how large they are."""


@dataclass(slots=True)
class _Held:
    adapter: HostAdapter
    usage: Usage
    fresh_until: float = 0.0  # unix seconds; 0 once it was used


@dataclass(slots=True, kw_only=True)
class HostTier:
    """Packed adapters up to a byte budget; the least valued leave first. Safe from any thread."""

    budget_bytes: int
    needed: Callable[[], Collection[str]] = frozenset
    """What rows use or wait for: a prefetch never evicts it, a load only where nothing else would do."""
    worth: Worth = field(default_factory=Worth)
    """Of slots too."""
    _held: dict[str, _Held] = field(default_factory=dict[str, _Held])
    _used_bytes: int = 0
    _largest_bytes: int = 0  # that was ever held
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, adapter: HostAdapter) -> None:
        """Keep an adapter, evicting others. Raises CapacityError if it alone exceeds the budget."""
        self._check_size(adapter)
        needed = self.needed()
        with self._lock:
            if adapter.digest in self._held:
                return
            if not self._make_room(adapter.size_bytes, spared=needed):
                self._make_room(adapter.size_bytes)
            self._add(adapter)

    def put_ahead(self, adapter: HostAdapter) -> bool:
        """Keep an adapter that nobody waits for yet; False if what rows need would have to make way, or what
        was put ahead just before. Raises CapacityError as `put`."""
        self._check_size(adapter)
        needed = self.needed()
        with self._lock:
            if adapter.digest in self._held:
                return True
            if not self._make_room(adapter.size_bytes, spared=needed):
                return False
            self._add(adapter).fresh_until = time.time() + AHEAD_SECONDS
            return True

    def _check_size(self, adapter: HostAdapter) -> None:
        if adapter.size_bytes > self.budget_bytes:
            raise CapacityError(
                f"adapter {adapter.digest} (bytes)",
                needed=adapter.size_bytes,
                limit=self.budget_bytes,
                setting="host_bytes",
            )

    def get(self, digest: str) -> HostAdapter | None:
        """The adapter, counted as used; None if it is not held."""
        with self._lock:
            held = self._held.get(digest)
            if held is None:
                return None
            held.usage = held.usage.touched(time.time())
            held.fresh_until = 0.0
            return held.adapter

    def drop(self, digest: str) -> int:
        """Forget an adapter; returns the bytes freed."""
        with self._lock:
            held = self._held.pop(digest, None)
            freed = 0 if held is None else held.adapter.size_bytes
            self._used_bytes -= freed
            return freed

    def __contains__(self, digest: object) -> bool:
        with self._lock:
            return digest in self._held

    def digests(self) -> frozenset[str]:
        """What is held now."""
        with self._lock:
            return frozenset(self._held)

    @property
    def used_bytes(self) -> int:
        """Bytes held now."""
        return self._used_bytes

    @property
    def room(self) -> int:
        """Adapters as large as the largest ever held that fit before any has to make way."""
        if not self._largest_bytes:
            return ROOM_UNMEASURED
        return max(0, self.budget_bytes - self._used_bytes) // self._largest_bytes

    def check(self) -> None:
        """The books agree. Raises InvariantError."""
        with self._lock:
            total = sum(held.adapter.size_bytes for held in self._held.values())
            if total != self._used_bytes or total > self.budget_bytes:
                raise InvariantError(
                    f"host tier: {total} bytes held, {self._used_bytes} booked, {self.budget_bytes} allowed"
                )

    def _add(self, adapter: HostAdapter) -> _Held:
        held = self._held[adapter.digest] = _Held(adapter, Usage(last_used=time.time()))
        self._used_bytes += adapter.size_bytes
        self._largest_bytes = max(self._largest_bytes, adapter.size_bytes)
        return held

    def _make_room(self, size_bytes: int, spared: Collection[str] | None = None) -> bool:
        """Evict what it takes; with `spared`, neither those nor what was put ahead just now, False if that
        is not enough. Without, it always is: the newcomer fits alone."""
        excess = self._used_bytes + size_bytes - self.budget_bytes
        if excess <= 0:
            return True
        now, doublings = time.time(), self.worth.doublings
        victims = choose_victims(
            [
                Candidate(
                    key=digest,
                    usage=held.usage,
                    size=held.adapter.size_bytes,
                    in_use=spared is not None and (digest in spared or held.fresh_until > now),
                    doublings=doublings.get(digest, 0.0),
                )
                for digest, held in self._held.items()
            ],
            excess,
        )
        for digest in victims or ():
            self._used_bytes -= self._held.pop(digest).adapter.size_bytes
        return victims is not None
