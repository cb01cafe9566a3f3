"""The planner in a modelled yard, beside other systems' rules on the same traffic; and its own pace."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.engine_report.rows import NotMeasured, Row, exit_code
from lorayard_cli.bench.routing_report.document import make_document, print_document
from lorayard_cli.bench.routing_report.goals import GOALS
from lorayard_cli.bench.routing_report.measure import all_runs, measure
from lorayard_cli.bench.routing_report.pace import pace_figures
from lorayard_cli.bench.routing_report.simulated import figures
from lorayard_cli.exit_codes import ExitCode
from lorayard_cli.failures import CommandError
from lorayard_cli.output import print_json
from lorayard_cli.progress import progress
from lorayard_cli.simulation.routers import ROUTERS

OURS = "ours"
NO_PACE = f"only of {OURS}: no other router is asked for its pace"
PACES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingPlan:
    """How much is run."""

    planner: str  # the judged router
    seeds: int
    searched_seeds: int  # for the highest load served: one search is six runs
    pace_rounds: int


def plan_of(planner: str, *, quick: bool) -> RoutingPlan:
    """Twenty seeds, or three in under four minutes. Raises CommandError for a router that is not there."""
    if planner not in ROUTERS:
        message = f"no router is called {planner!r}; there are {', '.join(ROUTERS)}"
        raise CommandError(ExitCode.USAGE, "usage", message, field="planner")
    if quick:
        return RoutingPlan(planner=planner, seeds=3, searched_seeds=1, pace_rounds=2)
    return RoutingPlan(planner=planner, seeds=20, searched_seeds=5, pace_rounds=5)


def run(plan: RoutingPlan, *, as_json: bool) -> int:
    """Measure, print, and fail when a must is missed."""
    started = time.monotonic()
    tasks = list(all_runs(plan.planner, plan.seeds, plan.searched_seeds))
    paces = PACES if plan.planner == OURS else 0
    with progress(len(tasks) + paces, "runs") as advance:
        measured = measure(plan.planner, tasks, advance)
        found = figures(measured)
        if paces:  # after the others have ended: they would take its caches
            found |= pace_figures(plan.pace_rounds, advance)
    rows, gaps = judge(found)
    about = {**asdict(plan), "runs": len(tasks), "seconds": round(time.monotonic() - started)}
    if as_json:
        print_json(make_document(measured, rows, gaps, about))
    else:
        print_document(measured, rows, gaps)
    return exit_code(rows)


def judge(found: dict[str, Figure]) -> tuple[list[Row], list[NotMeasured]]:
    """A row for every goal with a figure; the others, and why they have none."""
    rows = [
        Row(goal=goal, value=found[goal.key].value, note=found[goal.key].note)
        for goal in GOALS
        if goal.key in found
    ]
    return rows, [NotMeasured(goal=goal, reason=NO_PACE) for goal in GOALS if goal.key not in found]
