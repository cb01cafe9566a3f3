"""How much of each group arrives: jobs per second, smoothed over seconds."""

from __future__ import annotations

from collections.abc import Mapping

BUCKET_SECONDS = 1.0
ALPHA = 0.3
"""Weight of the newest bucket: about the last six seconds count, so a shift of traffic shows in as many."""

LEAST = 1e-3
MOST_GROUPS = 4096
"""Remembered before those are looked for that may be forgotten."""


class Demand:
    """An exponentially weighted mean per group, brought up to date when it is read."""

    def __init__(self, known: Mapping[str, float] | None = None) -> None:
        self._rates: dict[str, tuple[float, int, int]] = {
            group: (rate, 0, 0) for group, rate in (known or {}).items()
        }
        """Rate up to a bucket, that bucket, arrivals in it."""
        self._fixed = known is not None
        self._most = MOST_GROUPS

    def arrived(self, group: str, now: float) -> None:
        """One more job."""
        if self._fixed:
            return
        bucket, rates = int(now / BUCKET_SECONDS), self._rates
        found = rates.get(group)
        if found is None or found[1] != bucket:
            found = self._rolled(group, bucket)
        rates[group] = (found[0], bucket, found[2] + 1)
        if len(rates) > self._most:
            self._forget(bucket)

    def rate(self, group: str, now: float) -> float:
        """Jobs per second, up to the last whole bucket."""
        found = self._rates.get(group)
        if found is None:
            return 0.0
        return found[0] if self._fixed else self._rolled(group, int(now / BUCKET_SECONDS))[0]

    def busiest(self, now: float) -> list[str]:
        """Groups by their rates, the highest first; those that have not come for a minute are left out."""
        rates = ((group, self.rate(group, now)) for group in self._rates)
        found = sorted((-rate, group) for group, rate in rates if rate >= LEAST)
        return [group for _, group in found]

    def _forget(self, bucket: int) -> None:
        """What has not come for long; adapters come and go for months."""
        rolled = {group: self._rolled(group, bucket) for group in self._rates}
        self._rates = {group: found for group, found in rolled.items() if found[0] >= LEAST or found[2]}
        self._most = max(MOST_GROUPS, 2 * len(self._rates))

    def _rolled(self, group: str, bucket: int) -> tuple[float, int, int]:
        found = self._rates.get(group)
        if found is None:
            return (0.0, bucket, 0)
        rate, at, count = found
        if bucket == at:
            return found
        if bucket < at:  # a clock was set back
            return (rate, bucket, 0)
        rate = ((1 - ALPHA) * rate + ALPHA * count / BUCKET_SECONDS) * (1 - ALPHA) ** (bucket - at - 1)
        return (rate, bucket, 0)
