"""How to make the adapters that exist only as a composition: kept as long as some row wants one."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field

from lorayard_workers.engine.request import Composition, CompositionPolicy
from lorayard_workers.errors import InvariantError


@dataclass(slots=True)
class _Wanted:
    composition: Composition
    rows: set[Hashable] = field(default_factory=set[Hashable])


@dataclass(slots=True)
class Recipes:
    """Derived digest -> composition. Safe from any thread; rows come and go without bound, this does not."""

    _wanted: dict[str, _Wanted] = field(default_factory=dict[str, _Wanted])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def hold(self, digest: str | None, composition: Composition | None, row: Hashable) -> None:
        """A row will want what the composition makes; ignored where that is no adapter of its own."""
        if digest is None or composition is None or composition.policy is CompositionPolicy.SUM:
            return
        with self._lock:
            self._wanted.setdefault(digest, _Wanted(composition)).rows.add(row)

    def release(self, digest: str | None, row: Hashable) -> None:
        """The row has ended; one that held nothing is ignored."""
        with self._lock:
            wanted = None if digest is None else self._wanted.get(digest)
            if digest is not None and wanted is not None:
                wanted.rows.discard(row)
                if not wanted.rows:
                    del self._wanted[digest]

    def get(self, digest: str) -> Composition | None:
        """What the digest is made of, if a row wants it."""
        with self._lock:
            wanted = self._wanted.get(digest)
            return None if wanted is None else wanted.composition

    def __len__(self) -> int:
        with self._lock:
            return len(self._wanted)

    def check_empty(self) -> None:
        """No row is open, so nothing may be wanted. Raises InvariantError."""
        with self._lock:
            if self._wanted:
                raise InvariantError(f"recipes outlive their rows: {sorted(self._wanted)}")
