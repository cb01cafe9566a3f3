"""How one's own recorded traffic would have fared under each router."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from lorayard_cli.simulation.cluster import Cluster
from lorayard_cli.simulation.pool import PROCESSES, each
from lorayard_cli.simulation.result import SimResult
from lorayard_cli.simulation.routers import ROUTERS
from lorayard_cli.simulation.run import simulate
from lorayard_cli.simulation.simulated_job import SimulatedJob
from lorayard_cli.simulation.sizes import PREFILL_SHARE
from lorayard_cli.simulation.trace import Trace, TraceJob
from lorayard_cli.simulation.trial import Trial
from lorayard_dispatcher.planning.values import BASE_GROUP, WaitingJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: this traffic, on this yard, under these routers."""

    trace: Trace
    cluster: Cluster
    routers: tuple[str, ...]
    speed: float = 1.0  # arrivals so many times as fast as recorded
    seed: int = 0
    processes: int = PROCESSES


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    router: str
    trial: Trial


def answer(question: Question, on_done: Callable[[str], None]) -> list[SimResult]:
    """One result per router, in the order asked for; each is told when it is there."""
    trial = Trial(
        cluster=question.cluster, seed=question.seed, jobs=simulated(question.trace.jobs, question.speed)
    )
    tasks = [_Task(router=router, trial=trial) for router in question.routers]
    found: dict[str, SimResult] = {}
    for task, result in each(_run, tasks, processes=question.processes):
        found[task.router] = result
        on_done(task.router)
    return [found[router] for router in question.routers]


def simulated(recorded: Sequence[TraceJob], speed: float = 1.0) -> list[SimulatedJob]:
    """Recorded jobs as the model takes them; the dispatcher expects of each what they take on average."""
    work = [job.completion_tokens + PREFILL_SHARE * job.prompt_tokens for job in recorded]
    expected = max(1.0, fmean(work))
    return [
        SimulatedJob(
            waiting=WaitingJob(
                key=f"job-{number:07}",
                group=job.adapter or BASE_GROUP,
                tenant=job.tenant,
                priority=job.priority,
                enqueued_at=job.at / speed,
                tokens=expected,
            ),
            tokens=max(1.0, tokens),
        )
        for number, (job, tokens) in enumerate(zip(recorded, work, strict=True))
    ]


def _run(task: _Task) -> SimResult:
    return simulate(task.trial, task.router, ROUTERS[task.router])
