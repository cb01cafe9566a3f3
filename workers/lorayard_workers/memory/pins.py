"""How many adapters may be pinned; asked by any thread before the engine's own hears of a pin."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from lorayard_workers.errors import CapacityError


class Pins:
    """Digests that are pinned or about to be; at least one slot stays for others."""

    def __init__(self, *, most: int, digests: Iterable[str] = ()) -> None:
        self._most = most
        self._digests = set(digests)
        self._lock = threading.Lock()

    def add(self, digest: str) -> None:
        """Raises CapacityError with the numbers when there are too many."""
        with self._lock:
            if len(self._digests | {digest}) > self._most:
                raise CapacityError(
                    f"pinning {digest} beside {len(self._digests)} others, and one slot for the rest",
                    needed=len(self._digests | {digest}) + 1,
                    limit=self._most + 1,
                    setting="slots",
                )
            self._digests.add(digest)

    def discard(self, digest: str) -> None:
        """It is pinned no longer."""
        with self._lock:
            self._digests.discard(digest)

    def __contains__(self, digest: object) -> bool:
        with self._lock:
            return digest in self._digests
