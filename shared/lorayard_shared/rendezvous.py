"""Rendezvous (highest random weight) hashing: the same answer in every process, and few moves on a change.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 1998.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=1 << 17)
def weight(key: str, node: str) -> int:
    """How strongly a node attracts a key; the highest wins."""
    return int.from_bytes(blake2b(f"{key}\0{node}".encode(), digest_size=8).digest(), "big")


def strongest(key: str, nodes: Iterable[str], most: int) -> list[str]:
    """The nodes that attract a key most, by `weight`, its home first; for many nodes at once."""
    begun = blake2b(f"{key}\0".encode(), digest_size=8)
    found: list[tuple[bytes, str]] = []
    for node in nodes:
        weighed = begun.copy()
        weighed.update(node.encode())
        found.append((weighed.digest(), node))
    return [node for _, node in heapq.nlargest(most, found)]
