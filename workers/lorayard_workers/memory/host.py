"""The host tier: adapters cast, scaled and packed per input group, one copy away from a slot."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from lorayard_workers.errors import CapacityError, InvariantError
from lorayard_workers.memory.eviction import Candidate, Usage, choose_victims
from lorayard_workers.memory.packing import HostAdapter


@dataclass(slots=True)
class _Held:
    adapter: HostAdapter
    usage: Usage


@dataclass(slots=True, kw_only=True)
class HostTier:
    """Packed adapters up to a byte budget; the least valued leave first. Safe from any thread."""

    budget_bytes: int
    _held: dict[str, _Held] = field(default_factory=dict[str, _Held])
    _used_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, adapter: HostAdapter) -> None:
        """Keep an adapter, evicting others. Raises CapacityError if it alone exceeds the budget."""
        if adapter.size_bytes > self.budget_bytes:
            raise CapacityError(
                f"adapter {adapter.digest} (bytes)",
                needed=adapter.size_bytes,
                limit=self.budget_bytes,
                setting="host_bytes",
            )
        with self._lock:
            if adapter.digest in self._held:
                return
            self._make_room(adapter.size_bytes)
            self._held[adapter.digest] = _Held(adapter, Usage(last_used=time.time()))
            self._used_bytes += adapter.size_bytes

    def get(self, digest: str) -> HostAdapter | None:
        """The adapter, counted as used; None if it is not held."""
        with self._lock:
            held = self._held.get(digest)
            if held is None:
                return None
            held.usage = held.usage.touched(time.time())
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

    def check(self) -> None:
        """The books agree. Raises InvariantError."""
        with self._lock:
            total = sum(held.adapter.size_bytes for held in self._held.values())
            if total != self._used_bytes or total > self.budget_bytes:
                raise InvariantError(
                    f"host tier: {total} bytes held, {self._used_bytes} booked, {self.budget_bytes} allowed"
                )

    def _make_room(self, size_bytes: int) -> None:
        excess = self._used_bytes + size_bytes - self.budget_bytes
        if excess <= 0:
            return
        victims = choose_victims(
            [
                Candidate(key=digest, usage=held.usage, size=held.adapter.size_bytes)
                for digest, held in self._held.items()
            ],
            excess,
        )
        assert victims is not None  # nothing here is pinned, and the newcomer fits alone
        for digest in victims:
            self._used_bytes -= self._held.pop(digest).adapter.size_bytes
