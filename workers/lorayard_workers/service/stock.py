"""Which adapters orders may be about, and where their files are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class Stock(Protocol):
    """What a worker can serve."""

    @property
    def coming(self) -> frozenset[str]:
        """Digests on their way onto the disk."""
        ...

    def knows(self, digest: str) -> bool:
        """Whether it can be served, at once or once its files are here."""
        ...

    def rank_of(self, digest: str) -> int | None:
        """Of one that can be served."""
        ...

    def here(self, digest: str) -> bool:
        """Whether its files are on this disk; they stay for a while from now."""
        ...

    async def bring(self, digest: str) -> None:
        """Fetch its files."""
        ...


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What lies on the worker's own disk, and nothing else."""

    ranks: Mapping[str, int]
    coming: frozenset[str] = frozenset()

    def knows(self, digest: str) -> bool:
        """Whether it lies there."""
        return digest in self.ranks

    def rank_of(self, digest: str) -> int | None:
        """As its files say."""
        return self.ranks.get(digest)

    def here(self, digest: str) -> bool:
        """Whether it lies there."""
        return digest in self.ranks

    async def bring(self, digest: str) -> None:
        """Nothing is to be fetched."""
