"""The highest load that a router serves without its queues growing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lorayard_cli.simulation.router import RouterMaker
from lorayard_cli.simulation.run import simulate
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.workload import MEAN_TOKENS

GROWTH_LIMIT = 0.03
"""Of the jobs that came in meanwhile: arrivals that only happen to cluster stay below, and a yard that is
offered 5 % more than it serves does not."""

QUEUE_SECONDS = 10.0
"""Of all that the yard could serve with every row busy: a longer queue is no bounded one, and nobody needs to
wait for the run's end to know it."""

LOWEST, HIGHEST = 0.05, 1.3
"""No router serves more than every row busy; beyond 1.0 lie batches with fewer adapters than slots, whose
steps are shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """Where the bisection ended."""

    router: str
    load: float  # the highest that was served; 0 if even the lowest was not
    refused: float  # the lowest that was not
    runs: int


def saturation(trial: Trial, name: str, maker: RouterMaker, *, tolerance: float = 0.02) -> Saturation:
    """Bisect the trial's load, with the same seed throughout; raises what `simulate` raises."""
    served, refused, runs = 0.0, HIGHEST, 0
    load = LOWEST
    while refused - served > tolerance:
        runs += 1
        if _keeps_up(trial, load, name, maker):
            served = load
        else:
            refused = load
        load = (max(served, LOWEST) + refused) / 2
        if refused <= LOWEST:
            break
    return Saturation(router=name, load=served, refused=refused, runs=runs)


def _keeps_up(trial: Trial, load: float, name: str, maker: RouterMaker) -> bool:
    offered = replace(
        trial,
        traffic=replace(trial.traffic, load=load),
        runs_empty=False,
        most_waiting=int(QUEUE_SECONDS * trial.cluster.jobs_per_second(MEAN_TOKENS)),
    )
    result = simulate(offered, name, maker)
    return not result.overrun and result.waiting_grew <= GROWTH_LIMIT
