"""Which adapters traffic makes worth workers of their own, with hysteresis: a merge costs a worker a pause.

Demand is counted in rows, of jobs that run or wait, so nobody has to know how long a job takes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lorayard_dispatcher.planning.placement import Site

SMOOTH_SECONDS = 10.0
"""Of the mean of demand: a worker's rows end and fill within seconds."""

WORTH, WORTH_SECONDS = 0.8, 60.0
"""A further worker is worth it when demand would fill so much of it, for so long without a break."""

IDLE, IDLE_SECONDS = 0.5, 120.0
"""A worker is given back when demand has filled less of it, for so long without a break."""

SPARE = 0.8
"""Of the rows that would be left, everybody else may need this much before a worker is taken from them;
when they need all of what is left for `IDLE_SECONDS`, they get one back."""

LEAST_ROWS = 1e-3

TRIFLE_ROWS = 1e-9
"""By so much sums of floats may be off."""


@dataclass(slots=True)
class _Seen:
    rows: float = 0.0  # demand, smoothed
    level: int = 0  # workers that it is worth
    above_since: float | None = None
    below_since: float | None = None


class _Balance:
    """What there is for everybody in one look, kept true as levels change: nothing is summed up per adapter,
    of which there may be thousands."""

    def __init__(self, seen: Mapping[str, _Seen], sites: Sequence[Site], base_of: Mapping[str, str]) -> None:
        self._sites, self._base_of = sites, base_of
        self._own = Counter(site.dedicated for site in sites if site.bound)
        self._open: dict[str | None, tuple[int, int]] = {}
        self._given = Counter[str | None]()
        self._unserved = 0.0
        for digest in sorted(seen):
            self._count(digest, seen[digest], 1)

    def set_level(self, digest: str, seen: _Seen, level: int) -> None:
        """From here on it is worth so many workers."""
        self._count(digest, seen, -1)
        seen.level = level
        self._count(digest, seen, 1)

    def room(self, digest: str) -> tuple[int, int]:
        """Rows of the largest worker that may be its own, and rows that all such workers have left."""
        base = self._base_of.get(digest)
        if base not in self._open:
            rows = [site.rows for site in self._sites if not site.bound and base in (None, site.base_digest)]
            self._open[base] = (max(rows, default=0), sum(rows))
        most, whole = self._open[base]
        return most, whole - self._given[base] * most

    def others(self, seen: _Seen) -> float:
        """Demand of all others without a worker of their own; who has one needs it for what is beyond it."""
        rows = self._unserved - (0.0 if seen.level else seen.rows)
        return rows if rows > TRIFLE_ROWS else 0.0

    def _count(self, digest: str, seen: _Seen, times: int) -> None:
        self._given[self._base_of.get(digest)] += times * max(0, seen.level - self._own[digest])
        if not seen.level:
            self._unserved += times * seen.rows


@dataclass(slots=True)
class Inference:
    """What is remembered of each adapter's traffic."""

    _seen: dict[str, _Seen] = field(default_factory=dict[str, _Seen])
    _looked_at: float | None = None
    _found: bool = False

    def demand(self, digest: str) -> float:
        """Rows, smoothed."""
        seen = self._seen.get(digest)
        return 0.0 if seen is None else seen.rows

    def levels(self) -> dict[str, int]:
        """Digest -> workers that it is worth, where that is any."""
        return {digest: seen.level for digest, seen in self._seen.items() if seen.level}

    def begin_anew(self) -> None:
        """Take over from another dispatcher: what is merged now is what was worth it."""
        self._found = False

    def look(
        self,
        now: float,
        *,
        demand: Mapping[str, float],
        sites: Iterable[Site],
        base_of: Mapping[str, str],
        fixed: Iterable[str] = (),
    ) -> None:
        """Bring everything up to date. `now` is monotonic seconds; `demand` is rows by digest; `fixed` are
        adapters whose tier was declared."""
        sites = list(sites)
        fixed = frozenset(fixed)
        self._smooth(now, demand)
        if not self._found and sites:
            self._adopt(sites, fixed)
        balance = _Balance(self._seen, sites, base_of)
        for digest in sorted(self._seen):
            seen = self._seen[digest]
            if digest in fixed:
                balance.set_level(digest, seen, 0)
                seen.above_since, seen.below_since = None, None
            elif digest:
                _judge(digest, seen, now, balance)
        self._seen = {
            digest: seen for digest, seen in self._seen.items() if seen.level or seen.rows > LEAST_ROWS
        }

    def _smooth(self, now: float, demand: Mapping[str, float]) -> None:
        passed = 0.0 if self._looked_at is None else max(0.0, now - self._looked_at)
        self._looked_at = now
        share = 1.0 - math.exp(-passed / SMOOTH_SECONDS)
        for digest in sorted(self._seen.keys() | demand.keys()):  # sums of floats follow the order
            seen = self._seen.setdefault(digest, _Seen())
            seen.rows += share * (demand.get(digest, 0.0) - seen.rows)

    def _adopt(self, sites: Iterable[Site], fixed: frozenset[str]) -> None:
        """What an earlier dispatcher has merged stays so until traffic says otherwise."""
        self._found = True
        merged = Counter(site.dedicated for site in sites if site.dedicated is not None)
        for digest, workers in merged.items():
            if digest not in fixed:
                seen = self._seen.setdefault(digest, _Seen())
                seen.level = max(seen.level, workers)


def _judge(digest: str, seen: _Seen, now: float, balance: _Balance) -> None:
    rows, left = balance.room(digest)
    others = balance.others(seen)
    above = rows > 0 and seen.rows > (seen.level + WORTH) * rows and others <= SPARE * (left - rows)
    below = seen.level > 0 and (seen.rows < (seen.level - 1 + IDLE) * rows or others > left)
    seen.above_since = _since(seen.above_since, now, holds=above and left > rows)
    seen.below_since = _since(seen.below_since, now, holds=below)
    if seen.above_since is not None and now - seen.above_since >= WORTH_SECONDS:
        balance.set_level(digest, seen, seen.level + 1)
        seen.above_since = None
    elif seen.below_since is not None and now - seen.below_since >= IDLE_SECONDS:
        balance.set_level(digest, seen, seen.level - 1)
        seen.below_since = None


def _since(before: float | None, now: float, *, holds: bool) -> float | None:
    if not holds:
        return None
    return now if before is None or before > now else before
