"""Run the scenes, two at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lorayard_cli.bench.routing_report.scenes import (
    CAPACITY_OTHERS,
    CAPACITY_YARDS,
    SCENES,
    capacity_trial,
)
from lorayard_cli.progress import Advance
from lorayard_cli.simulation.pool import each
from lorayard_cli.simulation.result import SimResult
from lorayard_cli.simulation.routers import ROUTERS
from lorayard_cli.simulation.run import simulate
from lorayard_cli.simulation.saturation import saturation

_SCENES: Final = {scene.key: scene for scene in SCENES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One task of the pool: a scene, or a search for the highest load in a yard."""

    key: str
    router: str
    seed: int
    is_search: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All results; of one key and router in the order of the seeds."""

    planner: str
    """The judged router."""
    runs: Mapping[tuple[str, str], tuple[SimResult, ...]]
    loads: Mapping[tuple[str, str], tuple[float, ...]]
    """Highest loads served, by yard and router."""


def measure(planner: str, tasks: Sequence[Run], advance: Advance) -> Measured:
    """Run them all."""
    found: dict[Run, SimResult | float] = {}
    for run, result in each(_work, tasks):
        found[run] = result
        advance(f"{run.key} {run.router}")
    runs: dict[tuple[str, str], tuple[SimResult, ...]] = {}
    loads: dict[tuple[str, str], tuple[float, ...]] = {}
    for run in tasks:  # by seed, as they were made
        key, result = (run.key, run.router), found[run]
        if isinstance(result, SimResult):
            runs[key] = (*runs.get(key, ()), result)
        else:
            loads[key] = (*loads.get(key, ()), result)
    return Measured(planner=planner, runs=runs, loads=loads)


def all_runs(planner: str, seeds: int, searched_seeds: int) -> Iterator[Run]:
    """The long ones first, so that both processes end together."""
    for seed in range(searched_seeds):
        for yard in CAPACITY_YARDS:
            for router in (planner, *CAPACITY_OTHERS):
                yield Run(key=yard, router=router, seed=seed, is_search=True)
    for seed in range(seeds):
        for scene in SCENES:
            for router in (planner, *scene.others):
                yield Run(key=scene.key, router=router, seed=seed)


def _work(run: Run) -> SimResult | float:
    maker = ROUTERS[run.router]
    if run.is_search:
        return saturation(capacity_trial(run.key, run.seed), run.router, maker).load
    return simulate(replace(_SCENES[run.key].trial, seed=run.seed), run.router, maker)
