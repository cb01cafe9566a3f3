"""Turns of sessions that are kept back for the worker that has their conversation in its cache.

Elsewhere the whole conversation is read anew. So a turn may wait for a row there as long as that would take,
and then moves: whatever comes, it costs at most twice what knowing the future would.

Source of the rule: Karlin et al., "Competitive snoopy caching", 1988 (rent until it has cost the price).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable

from lorayard_dispatcher.planning.values import WaitingJob


class Homes:
    """Who is kept back, by worker; looking at one worker costs what is kept back for it."""

    def __init__(self) -> None:
        self._jobs: dict[str, WaitingJob] = {}
        self._until: list[tuple[float, str]] = []
        """A heap of what was once true; what is not any more is dropped when it comes up."""
        self._of: dict[str, dict[str, float]] = {}
        """Worker -> keys, and until when."""
        self._kept_at = -math.inf
        self.moved: set[str] = set()
        """Keys of those that have waited in vain: any worker will do."""

    def __len__(self) -> int:
        return len(self._jobs)

    def get(self, key: str) -> WaitingJob | None:
        """The job, if it is kept back."""
        return self._jobs.get(key)

    def count(self, worker: str) -> int:
        """How many are kept back for a worker."""
        return len(self._of.get(worker, ()))

    @property
    def groups(self) -> set[str]:
        """Of those kept back."""
        return {job.group for job in self._jobs.values()}

    def until(self, job: WaitingJob) -> float | None:
        """When a job that is kept back moves, unix seconds."""
        return self._of.get(job.home or "", {}).get(job.key)

    def keep(self, job: WaitingJob, until: float, now: float) -> None:
        """Keep a job back for its home."""
        assert job.home is not None, "it is kept back for a worker"
        self._kept_at = now
        self._jobs[job.key] = job
        self._of.setdefault(job.home, {})[job.key] = until
        heapq.heappush(self._until, (until, job.key))

    def take(self, key: str) -> WaitingJob | None:
        """Remove a job and return it, if it is kept back."""
        if self.moved:
            self.moved.discard(key)
        job = self._jobs.pop(key, None) if self._jobs else None
        if job is not None:
            assert job.home is not None, "as it was kept"
            kept = self._of[job.home]
            del kept[key]
            if not kept:
                del self._of[job.home]
        return job

    def of(self, workers: Iterable[str]) -> list[WaitingJob]:
        """Those kept back for any of some workers, in their order."""
        found = [self._jobs[key] for worker in workers for key in self._of.get(worker, ())]
        return sorted(found, key=lambda job: job.order)

    def over(self, now: float) -> list[WaitingJob]:
        """Those that have waited long enough, the first to move first."""
        if now < self._kept_at:  # a clock was set back
            self._kept_at = now
            return self.of(list(self._of))
        found: list[WaitingJob] = []
        while self._until and self._until[0][0] <= now:
            until, key = heapq.heappop(self._until)
            job = self._jobs.get(key)
            if job is not None and self.until(job) == until:
                found.append(job)
        return found
