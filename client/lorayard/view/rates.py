"""What happens in a second, from counters that were read now and before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from lorayard_schemas.advert import WorkerAdvert, WorkerCounters
from lorayard_shared.value import value

APART_SECONDS = 1.0
"""Between two readings that a rate is made of, at least."""

KEPT_SECONDS = 60.0
"""The hit rate is that of the last minute."""

_COUNTED = ("adapter_rows", "slot_hits", "slot_loads", "completion_tokens")


@value
class Rates:
    """None: not known yet."""

    jobs_per_second: float | None = None
    tokens_per_second: float | None = None
    loads_per_second: float | None = None
    hit_rate: float | None = None


@value
class _Sample:
    at: float
    ended: int | None
    counters: Mapping[tuple[str, int], WorkerCounters]
    """By worker and its epoch."""


class Meters:
    """Keeps what was read within the last minute."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()

    def look(self, at: float, ended: int | None, workers: Iterable[WorkerAdvert]) -> Rates:
        """`at` is seconds of one clock, `ended` the number of results ever stored."""
        counters = {(one.worker, one.epoch): one.counters for one in workers}
        now = _Sample(at=at, ended=ended, counters=counters)
        while self._samples and at - self._samples[0].at > KEPT_SECONDS:
            self._samples.popleft()
        before = next((one for one in reversed(self._samples) if at - one.at >= APART_SECONDS), None)
        oldest = self._samples[0] if self._samples else _Sample(at=at, ended=None, counters={})
        if not self._samples or at - self._samples[-1].at >= APART_SECONDS:
            self._samples.append(now)
        hits = _grown(oldest, now)
        hit_rate = hits["slot_hits"] / hits["adapter_rows"] if hits["adapter_rows"] else None
        if before is None:
            return Rates(hit_rate=hit_rate)
        passed, grown = at - before.at, _grown(before, now)
        jobs = None
        if ended is not None and before.ended is not None and ended >= before.ended:
            jobs = (ended - before.ended) / passed
        return Rates(
            jobs_per_second=jobs,
            tokens_per_second=grown["completion_tokens"] / passed,
            loads_per_second=grown["slot_loads"] / passed,
            hit_rate=hit_rate,
        )


def _grown(before: _Sample, now: _Sample) -> dict[str, int]:
    """By how much each counter of any worker has grown; one that was not there before began with 0."""
    none = WorkerCounters()
    grown: dict[str, int] = dict.fromkeys(_COUNTED, 0)
    for key, counters in now.counters.items():
        was = before.counters.get(key, none)
        for name in _COUNTED:
            grown[name] += max(0, getattr(counters, name) - getattr(was, name))
    return grown
