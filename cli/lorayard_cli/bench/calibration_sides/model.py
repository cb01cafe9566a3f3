"""The modelled yard with a live one's measured times, and what it makes of the same trace. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

from lorayard_cli.bench.calibration_sides.law import StepLaw
from lorayard_cli.bench.calibration_sides.seen import Seen
from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.ours import PlannerRouter
from lorayard_cli.simulation.result import SimResult
from lorayard_cli.simulation.run import simulate
from lorayard_cli.simulation.trace import RecordedJob, Trace, TraceJob
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.what_if import simulated
from lorayard_dispatcher.planning.policy import Policy

JOBS_WITHIN: Final = 0.10
LOADS_WITHIN: Final = 0.15

VIEW_AGE_SECONDS: Final = 0.02
"""A worker's load report is written within 2 ms of a change, its advert within 50."""

VARIANTS: Final = 5
"""Ties between workers go by hashes of the names: the live yard drew one lot, so the median counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One trace: live, modelled, and the ratio of both."""

    name: str
    jobs: int
    live_jobs_per_second: float
    model_jobs_per_second: float
    live_loads_per_1000: float
    model_loads_per_1000: float
    live_wait_p95: float
    model_wait_p95: float
    law: StepLaw
    cluster: Cluster  # the model's

    @property
    def jobs_ratio(self) -> float:
        """Modelled over live jobs per second."""
        return self.model_jobs_per_second / self.live_jobs_per_second

    @property
    def loads_ratio(self) -> float:
        """The same of loads; with none in either, they agree."""
        if self.live_loads_per_1000 == self.model_loads_per_1000:
            return 1.0
        return self.model_loads_per_1000 / max(self.live_loads_per_1000, 1e-9)

    @property
    def holds(self) -> bool:
        """Whether both are within their bounds."""
        return abs(self.jobs_ratio - 1.0) <= JOBS_WITHIN and abs(self.loads_ratio - 1.0) <= LOADS_WITHIN


def fitted(guess: Cluster, law: StepLaw, seen: Seen, host_bytes: int) -> Cluster:
    """The yard as its workers' timings and adverts tell it."""
    sizes = [worker.host_bytes_per_adapter for worker in seen.workers if worker.host_bytes_per_adapter]
    return replace(
        guess,
        step_milliseconds=law.step,
        row_milliseconds=law.row,
        adapter_milliseconds=law.adapter,
        load_seconds_host=seen.load_seconds_host,
        load_seconds_disk=seen.load_seconds_disk,
        host=int(host_bytes // max(sizes)) if sizes else guess.host,
    )


def recorded(seen: Seen) -> Sequence[RecordedJob]:
    """The trace as it was really played, in the form that `lorayard sim --trace` reads."""
    first = seen.jobs[0].submitted_at
    return [
        RecordedJob(
            at=job.submitted_at - first,
            adapter=job.adapter,
            prompt_tokens=job.prompt_tokens,
            completion_tokens=job.tokens,
        )
        for job in seen.jobs
    ]


def compare(name: str, seen: Seen, trace: Trace, cluster: Cluster, law: StepLaw) -> Compared:
    """The same trace on the model, under the same planner with the dispatcher's own constants."""
    runs = [_run(_renamed(trace.jobs, variant), cluster) for variant in range(VARIANTS)]
    return Compared(
        name=name,
        jobs=len(seen.jobs),
        live_jobs_per_second=seen.jobs_per_second,
        model_jobs_per_second=median(run.jobs_per_second for run in runs),
        live_loads_per_1000=seen.loads_per_1000,
        model_loads_per_1000=median(run.loads_per_1000 for run in runs),
        live_wait_p95=seen.wait_p95,
        model_wait_p95=median(run.waits.p95 for run in runs),
        law=law,
        cluster=cluster,
    )


def _renamed(jobs: Sequence[TraceJob], variant: int) -> Sequence[TraceJob]:
    return [replace(job, adapter=job.adapter and f"{job.adapter}-{variant}") for job in jobs]


def _run(jobs: Sequence[TraceJob], cluster: Cluster) -> SimResult:
    trial = Trial(
        cluster=cluster, jobs=simulated(jobs), view_age_seconds=VIEW_AGE_SECONDS, options=_live_constants()
    )
    return simulate(trial, "ours", PlannerRouter)


def _live_constants() -> Mapping[str, object]:
    """Those that the simulator sets from the model, but a dispatcher does not."""
    usual = Policy()
    names = ("load_seconds_host", "load_seconds_disk", "stall", "service_seconds")
    return {name: getattr(usual, name) for name in names}
