"""One run, from a trial and a router to its result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from lorayard_cli.simulation.meters import GROWTH_SHARE
from lorayard_cli.simulation.result import SimResult, Waits, quantile
from lorayard_cli.simulation.router import RouterMaker, Setup
from lorayard_cli.simulation.simulated_job import SimulatedJob
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.yard import Yard

PATIENCE, PATIENCE_SECONDS = 6.0, 120.0
"""A run is cut off after so many times its arrivals, and so many seconds: a router that starves jobs for ever
must not run for ever."""

WARM_UP_SHARE = 1 / 3
"""Of the arrivals, after which every popular adapter has been touched once."""


def simulate(trial: Trial, name: str, maker: RouterMaker, *, audited: bool = False) -> SimResult:
    """Run a trial with a router.

    Raises BadOrderError if the router hands over what it does not have, BooksDifferError if a job is lost or
    doubled, BadSettingError for traffic that can't be made.
    """
    setup = Setup(
        cluster=trial.cluster,
        adapters=trial.adapters,
        seed=trial.seed,
        expected_tokens=trial.mean_tokens,
        dispatchers=trial.dispatchers,
        options=trial.options,
    )
    yard = Yard(trial, maker(setup))
    arrivals_end = yard.jobs[-1].waiting.enqueued_at if yard.jobs else 0.0
    yard.run(arrivals_end * PATIENCE + PATIENCE_SECONDS, audited=audited)
    yard.check()
    return _result(name, yard, arrivals_end)


def _result(name: str, yard: Yard, arrivals_end: float) -> SimResult:
    ended = yard.ended
    first = yard.jobs[0].waiting.enqueued_at if yard.jobs else 0.0
    last = max((job.ended_at or 0.0 for job in ended), default=first)
    span = max(last - first, 1e-9)
    started = [job for job in yard.jobs if job.started_at is not None]
    loads = [worker.loads for worker in yard.workers]
    per_1000 = 1000.0 / max(1, len(started))
    from_disk = sum(load.from_disk for load in loads)
    blocking = [at for load in loads for at in load.blocking_at]
    rows = yard.trial.cluster.rows * len(yard.workers)
    plans = sorted(yard.meters.plan_seconds)
    return SimResult(
        router=name,
        seed=yard.trial.seed,
        jobs=len(ended),
        unfinished=len(yard.jobs) - len(ended),
        makespan_seconds=last - first,
        jobs_per_second=len(ended) / span,
        tokens_per_second=sum(job.tokens for job in ended) / span,
        waits=Waits.of(started),
        waits_by_tenant=_by(started, lambda job: job.waiting.tenant),
        waits_by_kind=_by([job for job in started if job.kind], lambda job: job.kind),
        loads_per_1000=per_1000 * (from_disk + sum(load.from_host for load in loads)),
        disk_per_1000=per_1000 * (from_disk + sum(load.fetched for load in loads)),
        blocking_per_1000=per_1000 * len(blocking),
        blocking_after_warm_up=sum(at > WARM_UP_SHARE * arrivals_end for at in blocking),
        hit_rate=sum(not job.missed for job in started) / max(1, len(started)),
        stalled_share=sum(load.stalled_seconds for load in loads) / (rows * span),
        busy_share=sum(load.decoded_seconds for load in loads) / (rows * span),
        spread=yard.meters.spread,
        worst_spread=yard.meters.worst_spread,
        overrun=yard.is_overrun,
        waiting_grew=yard.meters.grown_jobs / max(1.0, GROWTH_SHARE * len(yard.jobs)),
        late_wait_p95=_late_wait_p95(yard, arrivals_end),
        offered=_offered(yard, arrivals_end),
        plan_milliseconds_p50=1000.0 * quantile(plans, 0.5),
        plan_milliseconds_p99=1000.0 * quantile(plans, 0.99),
        plans=len(plans),
    )


def _late_wait_p95(yard: Yard, arrivals_end: float) -> float:
    waits = [
        (yard.now if job.started_at is None else job.started_at) - job.waiting.enqueued_at
        for job in yard.jobs
        if job.waiting.enqueued_at >= arrivals_end / 2
    ]
    return quantile(sorted(waits), 0.95)


def _offered(yard: Yard, arrivals_end: float) -> float:
    possible = yard.trial.cluster.jobs_per_second(1.0) * max(arrivals_end, 1e-9)
    return sum(job.tokens for job in yard.jobs) / possible


def _by(jobs: Sequence[SimulatedJob], group: Callable[[SimulatedJob], str]) -> Mapping[str, Waits]:
    found: defaultdict[str, list[SimulatedJob]] = defaultdict(list)
    for job in jobs:
        found[group(job)].append(job)
    return {name: Waits.of(of) for name, of in sorted(found.items())}
