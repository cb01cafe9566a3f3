"""The highest load that a router serves without its queues growing, nor anybody waiting long."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from lorayard_cli.simulation.result import SimResult
from lorayard_cli.simulation.router import RouterMaker
from lorayard_cli.simulation.run import simulate
from lorayard_cli.simulation.trial import Trial

GROWTH_LIMIT: Final = 0.03
"""Of the jobs that came in meanwhile: arrivals that only happen to cluster stay below, and a yard that is
offered 5 % more than it serves does not."""

WAIT_LIMIT_SECONDS: Final = 2.0
"""95 % of the jobs must have a row by then. A longer queue serves more, whatever the rule, since more of the
jobs that wait share an adapter; and one hot worker that falls behind hardly shows in the sum of all. Two
seconds to the first token are what MLPerf Inference asks of a chat service (Llama 2 70B, server)."""

QUEUE_SECONDS: Final = 10.0
"""Of all that the yard could serve with every row busy: a longer queue is no bounded one, and nobody needs to
wait for the run's end to know it."""

LOWEST, HIGHEST = 0.05, 1.3
"""No router serves more than every row busy; beyond 1.0 lie batches with fewer adapters than slots, whose
steps are shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """Where the bisection ended. Loads as they really came, which chance makes differ from what was asked."""

    router: str
    load: float  # the highest that was served; 0 if even the lowest was not
    refused: float  # the lowest that was not
    runs: int


def saturation(
    trial: Trial,
    name: str,
    maker: RouterMaker,
    *,
    tolerance: float = 0.02,
    wait_limit_seconds: float = WAIT_LIMIT_SECONDS,
) -> Saturation:
    """Bisect the trial's load, with the same seed throughout; raises what `simulate` raises.

    An infinite `wait_limit_seconds` asks only that queues don't grow.
    """
    served, refused, runs = 0.0, HIGHEST, 0
    served_came, refused_came = 0.0, math.inf
    load = LOWEST
    while refused - served > tolerance:
        runs += 1
        result = _offer(trial, load, name, maker)
        if not result.overrun and _is_bounded(result, wait_limit_seconds):
            served, served_came = load, result.offered
        else:
            refused, refused_came = load, result.offered
        load = (max(served, LOWEST) + refused) / 2
        if refused <= LOWEST:
            break
    return Saturation(router=name, load=served_came, refused=refused_came, runs=runs)


def _offer(trial: Trial, load: float, name: str, maker: RouterMaker) -> SimResult:
    queue = QUEUE_SECONDS * trial.cluster.jobs_per_second(trial.mean_tokens)
    traffic = replace(trial.traffic, load=load)
    offered = replace(trial, traffic=traffic, runs_empty=False, most_waiting=int(queue))
    return simulate(offered, name, maker)


def _is_bounded(result: SimResult, wait_limit_seconds: float) -> bool:
    return result.waiting_grew <= GROWTH_LIMIT and result.late_wait_p95 <= wait_limit_seconds
