"""What one dispatcher of a modelled yard believes of its workers: reports, its own hand-overs over them.

As in the dispatcher, its own jobs are known exactly, because every answer passes it; what others gave a
worker is as old as the report (lorayard_dispatcher.fleet).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.router import Sight
from lorayard_dispatcher.planning.values import BASE_GROUP, Resident, WaitingJob, WorkerView


class Overlay:
    """One dispatcher's view of the fleet."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._sights: dict[str, Sight] = {}
        self._own: dict[str, dict[str, WaitingJob]] = {name: {} for name in cluster.names}
        self._answered: dict[str, dict[str, WaitingJob]] = {name: {} for name in cluster.names}
        """Own jobs that are done, but still in the report."""

    def see(self, sight: Sight) -> None:
        """A later report of a worker."""
        worker = sight.view.worker
        self._sights[worker] = sight
        answered = self._answered[worker]
        self._answered[worker] = {key: job for key, job in answered.items() if key in sight.holding}

    def give(self, worker: str, job: WaitingJob) -> None:
        """A job was handed over."""
        self._own[worker][job.key] = job

    def done(self, worker: str, job: WaitingJob) -> None:
        """One of its own has been answered."""
        del self._own[worker][job.key]
        self._answered[worker][job.key] = job

    def view(self, worker: str, now: float) -> WorkerView:
        """The worker as a planner should see it."""
        sight = self._sights[worker]
        seen, own, answered = sight.view, self._own[worker], self._answered[worker]
        strangers = len(sight.holding) - len(sight.holding & (own.keys() | answered.keys()))
        in_flight = strangers + len(own)
        return replace(
            seen,
            room=max(0, self._cluster.rows + self._cluster.lookahead - in_flight),
            in_flight=in_flight,
            resident=self._resident(sight, own, answered),
            age_seconds=max(0.0, now - sight.at),
        )

    def _resident(
        self, sight: Sight, own: Mapping[str, WaitingJob], answered: Mapping[str, WaitingJob]
    ) -> dict[str, Resident]:
        """As reported, less what has been answered since, and with what was handed over since."""
        change = Counter(job.group for key, job in own.items() if key not in sight.holding)
        change.subtract(job.group for job in answered.values() if job.key in sight.holding)
        del change[BASE_GROUP]
        found = dict(sight.view.resident)
        for adapter, jobs in change.items():
            if adapter in found:
                found[adapter] = replace(found[adapter], jobs=max(0, found[adapter].jobs + jobs))
        for adapter in {job.group for job in own.values()} - found.keys() - {BASE_GROUP}:
            found[adapter] = Resident(jobs=sum(job.group == adapter for job in own.values()))
        return found
