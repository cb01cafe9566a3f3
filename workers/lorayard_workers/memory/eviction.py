"""Who must leave a full tier: least recently used, weighted by frequency. Pure.

Each use adds 1 to a weight that halves every `half_life_seconds` (LRFU, Lee et al. 2001). With a short
half-life this is plain LRU, with a long one plain LFU.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

HALF_LIFE_SECONDS = 60.0
"""A burst of 8 uses then outlives one use by three minutes: long against a load of 2-30 ms, short
against a working day's shift of traffic."""

MAX_CHOICES = 20_000
"""Sets looked at for the tightest one, about 50 ms: sizes that all differ, as strangers' files may, have
exponentially many. Ranks padded to 8 have few: a need of 64 columns among 1000 residents takes 8000."""


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


class Worth:
    """What operators say of adapters: by digest, doublings of what a use counts. Told as a whole, from any
    thread."""

    __slots__ = ("doublings",)

    def __init__(self) -> None:
        self.doublings: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A resident of a tier, as eviction sees it."""

    key: str
    usage: Usage
    size: int = 1
    in_use: bool = False
    pinned: bool = False
    doublings: float = 0.0
    """Of what its uses count, by its adapter's priority."""

    def last_used(self, half_life_seconds: float) -> float:
        """Later than it was, where its uses count more: what was never used has no rank that could double."""
        return self.usage.last_used + half_life_seconds * self.doublings

    @property
    def evictable(self) -> bool:
        """Pinned and in-use residents never leave."""
        return not self.in_use and not self.pinned


def choose_victims(
    candidates: Iterable[Candidate],
    need: int,
    *,
    need_count: int = 0,
    tolerance: float = 0.0,
    half_life_seconds: float = HALF_LIFE_SECONDS,
) -> tuple[str, ...] | None:
    """The least valued residents that together free `need` and are at least `need_count`.

    None when even all would not do: nothing is evicted in vain. Residents whose values differ by at most
    `tolerance` (1 is a doubling of uses, or one half-life of age) count as equally cheap: among those the
    set is taken that frees the least beyond the need, then the one that loses the fewest uses; where sizes
    differ too much to try them all, among the least valued of those. Without tolerance they leave strictly
    in order, less those that later ones make superfluous. Equal choices fall in the order of the keys: the
    same input gives the same victims in whatever order it comes.
    """
    order = sorted(
        ((c.usage.rank(half_life_seconds) + c.doublings, c) for c in candidates if c.evictable),
        key=lambda pair: (pair[0], pair[1].last_used(half_life_seconds), pair[1].key),
    )
    enough = _shortest_prefix([c.size for _, c in order], need, need_count)
    if not enough:
        return None if enough is None else ()
    in_order = _without_superfluous([c for _, c in order[:enough]], need, need_count)
    if tolerance == 0.0:
        return in_order
    bound = order[enough - 1][0] + tolerance
    pool = [(_loss(rank, bound), c) for rank, c in order if rank <= bound]
    return _tightest(pool, need, need_count) or in_order


def _shortest_prefix(sizes: Sequence[int], need: int, need_count: int) -> int | None:
    """How many of the least valued would do if one took them strictly in order."""
    freed = 0
    for count in range(len(sizes) + 1):
        if freed >= need and count >= need_count:
            return count
        freed += sizes[count] if count < len(sizes) else 0
    return None


def _without_superfluous(victims: Sequence[Candidate], need: int, need_count: int) -> tuple[str, ...]:
    """Of a sufficient set in order of value, what is left when all stay that can, the dearest first."""
    spare, spare_count = sum(c.size for c in victims) - need, len(victims) - need_count
    leaving: list[str] = []
    for candidate in reversed(victims):
        if candidate.size <= spare and spare_count > 0:
            spare, spare_count = spare - candidate.size, spare_count - 1
        else:
            leaving.append(candidate.key)
    return tuple(reversed(leaving))


def _loss(rank: float, bound: float) -> float:
    """Decayed uses that are lost, in units of the dearest that may leave."""
    return 0.0 if math.isinf(rank) else 2.0 ** (rank - bound)


def _tightest(pool: Sequence[tuple[float, Candidate]], need: int, need_count: int) -> tuple[str, ...] | None:
    """The sufficient set of the least size, then the least loss; a subset sum over few distinct sizes.

    Members of the pool are taken in, in order, until all their sets would be more than MAX_CHOICES; None if
    none suffices by then.
    """
    short: dict[tuple[int, int], _Choice] = {(0, 0): (0.0, ())}  # (freed, count) that do not suffice yet
    best: tuple[int, _Choice] | None = None
    choices = 0
    for loss, candidate in pool:
        choices += len(short)
        if choices > MAX_CHOICES:
            break
        for (freed, count), (lost, keys) in list(short.items()):
            choice = (lost + loss, (*keys, candidate.key))
            freed, count = freed + candidate.size, min(count + 1, need_count)
            if freed >= need and count >= need_count:
                best = min(best, (freed, choice)) if best else (freed, choice)
            elif (freed, count) not in short or choice < short[freed, count]:
                short[freed, count] = choice
    return best[1][1] if best else None


_Choice = tuple[float, tuple[str, ...]]
