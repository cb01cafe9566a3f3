"""What one dispatcher of a modelled yard believes of its workers: reports, its own hand-overs over them.

As in the dispatcher, what it gave a worker itself is known exactly, because every answer passes it; what
others gave by the newest word of the worker, and is not believed when that is stale. Adapters are as old as
the report that tells them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import replace

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.router import Sight
from lorayard_dispatcher.planning.values import BASE_GROUP, Resident, WaitingJob, WorkerView


class Overlay:
    """One dispatcher's view of the fleet."""

    def __init__(self, cluster: Cluster, stale_seconds: float) -> None:
        self._cluster = cluster
        self._stale = stale_seconds
        self._sights: dict[str, Sight] = {}
        self._own: dict[str, dict[str, WaitingJob]] = {name: {} for name in cluster.names}
        self._answered: dict[str, dict[str, WaitingJob]] = {name: {} for name in cluster.names}
        """Own jobs that are done, but still in the report."""
        self._held: dict[str, tuple[float, Set[str]]] = {}
        """What a worker held by its newest word, and when that was true."""

    def see(self, sight: Sight) -> bool:
        """A later report of a worker; whether it says anything new."""
        worker = sight.view.worker
        before = self._sights.get(worker)
        self._sights[worker] = sight
        is_new = self.hear(worker, sight.holding, sight.at)
        if before is not None and before.view is sight.view:
            return is_new
        answered = self._answered[worker]
        self._answered[worker] = {key: job for key, job in answered.items() if key in sight.holding}
        return True

    def hear(self, worker: str, holding: Set[str], at: float) -> bool:
        """What a worker held at a moment, if nothing newer is known; whether it is something else."""
        before_at, before = self._held.get(worker, (-math.inf, frozenset[str]()))
        if at < before_at:
            return False
        self._held[worker] = (at, holding)
        return holding != before

    def take_back(self, worker: str, job: WaitingJob) -> None:
        """It had no room for one."""
        del self._own[worker][job.key]

    def give(self, worker: str, job: WaitingJob) -> None:
        """A job was handed over."""
        self._own[worker][job.key] = job

    def done(self, worker: str, job: WaitingJob) -> None:
        """One of its own has been answered."""
        del self._own[worker][job.key]
        self._answered[worker][job.key] = job

    def stale(self, now: float) -> frozenset[str]:
        """Workers not heard for too long."""
        return frozenset(name for name, (at, _) in self._held.items() if now > at + self._stale)

    def view(self, worker: str, now: float) -> WorkerView:
        """The worker as a planner should see it."""
        sight, own, answered = self._sights[worker], self._own[worker], self._answered[worker]
        in_flight = len(own)
        at, holding = self._held[worker]
        if now <= at + self._stale:
            in_flight += len(holding) - len(holding & (own.keys() | answered.keys()))
        return replace(
            sight.view,
            room=max(0, self._cluster.rows + self._cluster.lookahead - in_flight),
            in_flight=in_flight,
            resident=_resident(sight, own.values(), answered.values(), now),
            age_seconds=max(0.0, now - at),
        )


def _resident(
    sight: Sight, own: Iterable[WaitingJob], answered: Iterable[WaitingJob], now: float
) -> dict[str, Resident]:
    """As reported, less what has been answered since, and with what was handed over since."""
    change = Counter(job.group for job in own if job.key not in sight.holding)
    change.subtract(job.group for job in answered if job.key in sight.holding)
    held = Counter(job.group for job in own)
    found = dict(sight.view.resident)
    for adapter, jobs in change.items():
        if jobs and adapter in found:
            found[adapter] = replace(found[adapter], jobs=max(0, found[adapter].jobs + jobs))
    for adapter, jobs in held.items():
        if adapter not in found and adapter != BASE_GROUP:
            found[adapter] = Resident(jobs=jobs, last_used=now, loaded_at=now)
    return found
