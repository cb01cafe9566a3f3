"""Who must leave a full tier: least recently used, weighted by frequency. Pure.

Each use adds 1 to a weight that halves every `half_life_seconds` (LRFU, Lee et al. 2001). With a short
half-life this is plain LRU, with a long one plain LFU.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

HALF_LIFE_SECONDS = 60.0
"""A burst of 8 uses then outlives one use by three minutes: long against a load of 2-30 ms, short
against a working day's shift of traffic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How often and how lately something was used."""

    weight: float = 0.0  # decayed number of uses, as of last_used
    last_used: float = 0.0  # seconds of any clock that the caller sticks to

    def touched(self, now: float, half_life_seconds: float = HALF_LIFE_SECONDS) -> Usage:
        """With one more use. A clock that steps back counts as standing still."""
        elapsed = max(0.0, now - self.last_used)
        weight = 1.0 + self.weight * 2.0 ** (-elapsed / half_life_seconds)
        return replace(self, weight=weight, last_used=max(now, self.last_used))

    def rank(self, half_life_seconds: float = HALF_LIFE_SECONDS) -> float:
        """Orders by decayed weight at any common moment: the moment itself cancels out."""
        if self.weight <= 0.0:
            return -math.inf  # fetched but never used
        return math.log2(self.weight) + self.last_used / half_life_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A resident of a tier, as eviction sees it."""

    key: str
    usage: Usage
    size: int = 1
    in_use: bool = False
    pinned: bool = False

    @property
    def evictable(self) -> bool:
        """Pinned and in-use residents never leave."""
        return not self.in_use and not self.pinned


def choose_victims(
    candidates: Iterable[Candidate],
    need: int,
    *,
    half_life_seconds: float = HALF_LIFE_SECONDS,
) -> tuple[str, ...] | None:
    """The least valued residents that together free `need`; None when even all would not.

    Nothing is evicted in vain: the answer is all or nothing. Equal values fall in the order of the
    keys, so the same input gives the same victims whatever order it comes in.
    """
    order = sorted(
        (candidate for candidate in candidates if candidate.evictable),
        key=lambda c: (c.usage.rank(half_life_seconds), c.usage.last_used, c.key),
    )
    victims: list[str] = []
    freed = 0
    for candidate in order:
        if freed >= need:
            break
        victims.append(candidate.key)
        freed += candidate.size
    return tuple(victims) if freed >= need else None
