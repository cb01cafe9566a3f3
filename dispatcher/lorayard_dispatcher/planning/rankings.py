"""Workers by how strongly each adapter is drawn to them: a change of the fleet costs what changed, not a hash
for each adapter and worker (1 s for a thousand of both)."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Collection

from lorayard_shared.rendezvous import strongest, weight

SORTED_IN = 8
"""A new worker finds its place in a ranking with about so many hashes: when more than one worker in eight is
new, the ranking is made anew."""


class Rankings:
    """By adapter, the most attractive worker first."""

    def __init__(self) -> None:
        self._workers: frozenset[str] = frozenset()
        self._of: dict[str, list[str]] = {}

    def see(self, workers: Collection[str], digests: Collection[str]) -> None:
        """Which workers there are now, and whose rankings are worth keeping."""
        now = frozenset(workers)
        gone, new = self._workers - now, now - self._workers
        self._workers = now
        kept = frozenset(digests if SORTED_IN * len(new) <= len(now) else ())
        self._of = {digest: found for digest, found in self._of.items() if digest in kept}
        for digest, found in self._of.items() if gone or new else ():
            if gone:
                found[:] = [worker for worker in found if worker not in gone]
            for worker in new:
                insort(found, worker, key=_rank(digest))

    def of(self, digest: str) -> list[str]:
        """All workers, the most attractive first."""
        found = self._of.get(digest)
        if found is None:
            found = self._of[digest] = strongest(digest, self._workers, len(self._workers))
        return found


def _rank(digest: str) -> Callable[[str], tuple[int, str]]:
    return lambda worker: (-weight(digest, worker), worker)
