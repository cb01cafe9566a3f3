"""Rendezvous (highest random weight) hashing: the same answer in every process, and few moves on a change.

Source: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 1998.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=1 << 17)
def weight(key: str, node: str) -> int:
    """How strongly a node attracts a key; the highest wins."""
    return int.from_bytes(blake2b(f"{key}\0{node}".encode(), digest_size=8).digest(), "big")
