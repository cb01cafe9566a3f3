"""What plots and the table of regimes show: `python -m benchmarks.routing.study` writes routing-study.json.

Every rule meets the same seeded jobs on the same modelled workers, as in `lorayard bench routing`; this asks
more broadly, and judges nothing. A part that is run again replaces that part.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lorayard_cli.bench.figures import surroundings
from lorayard_cli.simulation.pool import each
from lorayard_cli.simulation.regimes import REGIMES, regime
from lorayard_cli.simulation.routers import ROUTERS
from lorayard_cli.simulation.run import simulate
from lorayard_cli.simulation.saturation import saturation
from lorayard_cli.simulation.trial import Trial
from lorayard_cli.simulation.workload import Traffic

RESULT: Final = Path(__file__).resolve().parents[1] / "results/routing-study.json"

RULES: Final = (
    "ours",
    "bounded_affinity",
    "pull_aff",
    "dynamo",
    "ray",
    "bounded_loads",
    "gateway",
    "affinity",
    "least_request",
    "round_robin",
)
SERVED_RULES: Final = (
    "ours",
    "pull_aff",
    "bounded_affinity",
    "gateway",
    "bounded_loads",
    "affinity",
    "least_request",
    "round_robin",
)
LOADS: Final = (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
OWN_SCENES: Final = ("A", "B", "C", "cold")
"""Of `lorayard bench routing`; the others are asked for the highest load that is served."""
PARTS: Final = ("sweep", "cold", "flood", "served")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run, or one search."""

    part: str
    case: str  # load or regime
    router: str
    seed: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for, and keep it."""
    parser = argparse.ArgumentParser(description="Run every rule through sweep, cold, flood and regimes.")
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all of them")
    parser.add_argument("--regime", action="append", help="of the part `served`; default: all of them")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args(arguments)
    parts = asked.part or PARTS
    tasks = list(tasks_of(parts, asked.regime or served_regimes(), asked.seeds))
    document = _read()
    for task, value in each(work, tasks, processes=asked.processes):
        place = document.setdefault(task.part, {}).setdefault(task.case, {})
        place.setdefault(task.router, {})[str(task.seed)] = value
        sys.stderr.write(f"{task.part} {task.case} {task.router} {task.seed}: {value}\n")
    document |= {"bench": "routing-study", **surroundings()}
    RESULT.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0


def served_regimes() -> Sequence[str]:
    """Those whose highest load is looked for."""
    return [name for name in REGIMES if name not in OWN_SCENES]


def tasks_of(parts: Sequence[str], regimes: Sequence[str], seeds: int) -> Iterator[Task]:
    """All runs of these parts; a search has one seed, for it is seven runs."""
    for part in parts:
        if part == "served":
            for case in regimes:
                for router in SERVED_RULES:
                    yield Task(part=part, case=case, router=router, seed=0)
            continue
        cases = [f"{load:g}" for load in LOADS] if part == "sweep" else ["all"]
        for case in cases:
            for router in RULES:
                for seed in range(seeds):
                    yield Task(part=part, case=case, router=router, seed=seed)


def work(task: Task) -> Mapping[str, float]:
    """The figures of one task."""
    if task.part == "served":
        found = regime(task.case)
        trial = Trial(cluster=found.cluster, traffic=found.traffic, seed=task.seed)
        return {"load": round(saturation(trial, task.router, ROUTERS[task.router]).load, 3)}
    result = simulate(_trial(task), task.router, ROUTERS[task.router])
    told = {
        "p95": result.waits.p95,
        "worst": result.waits.longest,
        "loads": result.loads_per_1000,
        "jobs_per_second": result.jobs_per_second,
    }
    told |= {f"{kind}_p95": waits.p95 for kind, waits in result.waits_by_kind.items()}
    told |= {f"{kind}_worst": waits.longest for kind, waits in result.waits_by_kind.items()}
    return {name: round(value, 4) for name, value in told.items()}


def _trial(task: Task) -> Trial:
    kind, load = {"cold": ("cold", 1.1), "flood": ("flood", 1.3)}.get(task.part) or ("zipf", float(task.case))
    yard = regime("cold-staged" if task.part == "cold" else "A-staged")
    return Trial(cluster=yard.cluster, traffic=Traffic(kind=kind, load=load), seed=task.seed)


def _read() -> dict[str, Any]:
    if not RESULT.exists():
        return {}
    found: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main())
