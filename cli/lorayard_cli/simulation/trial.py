"""What one run is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.simulated_job import SimulatedJob
from lorayard_cli.simulation.workload import Traffic, adapter_name, make_jobs
from lorayard_dispatcher.planning.values import BASE_GROUP


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A yard, its traffic and how well it is seen; the same trial gives the same result."""

    cluster: Cluster = field(default_factory=Cluster)
    traffic: Traffic = field(default_factory=Traffic)
    seed: int = 0
    view_age_seconds: float = 0.1  # of reports when they reach the router
    report_seconds: float = 0.05  # between two reports of a worker
    frozen_seconds: tuple[float, float] | None = None  # from, to: no report reaches anybody
    dispatchers: int = 1
    runs_empty: bool = True  # after the last arrival, until all is answered
    most_waiting: int | None = None  # without a row: with more, the run ends
    options: Mapping[str, object] = field(default_factory=dict[str, object])  # for the router
    jobs: Sequence[SimulatedJob] | None = None  # recorded ones, in order of arrival, instead of the traffic's

    @property
    def mean_tokens(self) -> float:
        """What the dispatcher expects of a job."""
        if self.jobs:
            return fmean(job.waiting.tokens for job in self.jobs)
        return self.traffic.mean_tokens

    @property
    def adapters(self) -> Sequence[str]:
        """Those that the yard has registered: all that there are, or all that recorded jobs name."""
        if self.jobs is None:
            return [adapter_name(number) for number in range(self.cluster.adapters)]
        return sorted({job.adapter for job in self.jobs} - {BASE_GROUP})

    def make_jobs(self) -> list[SimulatedJob]:
        """Fresh jobs for one run."""
        if self.jobs is None:
            return make_jobs(self.traffic, self.cluster, self.seed)
        return [SimulatedJob(waiting=job.waiting, tokens=job.tokens, kind=job.kind) for job in self.jobs]
