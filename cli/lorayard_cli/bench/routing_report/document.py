"""The rows as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from lorayard_cli.bench.engine_report.document import gap_map, limit_text, row_map
from lorayard_cli.bench.engine_report.rows import NotMeasured, Row
from lorayard_cli.bench.figures import surroundings
from lorayard_cli.bench.routing_report.measure import Measured
from lorayard_cli.output import out, plain, table

FAIRNESS = (
    "A model, not a measurement: every router meets the same jobs, of the same seed, on the same modelled "
    "workers. Other systems are our reading of their routing rules on one cost model, not those products. "
    "They bind early, as in reality; `pull` and `pull_aff` bind late. Ratios are taken seed by seed, the "
    "median counts, with the lowest and the highest; where a bound must always hold the worst seed counts. "
    "`plan` and `decisions` are CPU time of the planner on this machine, views and jobs ready."
)


def make_document(
    measured: Measured, rows: Sequence[Row], gaps: Sequence[NotMeasured], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything, for `--json`."""
    missed = any(row.holds is False for row in rows)
    is_open = any(gap.goal.must is not None for gap in gaps)
    return {
        "bench": "routing",
        **about,
        "planner": measured.planner,
        "fairness": FAIRNESS,
        "holds": False if missed else (None if is_open else True),
        "rows": [row_map(row) for row in rows],
        "not_measured": [gap_map(gap) for gap in gaps],
        "scenes": _scenes(measured),
        "highest_loads": {
            f"{yard} {router}": [round(load, 3) for load in loads]
            for (yard, router), loads in measured.loads.items()
        },
        **surroundings(),
    }


def print_document(measured: Measured, rows: Sequence[Row], gaps: Sequence[NotMeasured]) -> None:
    """For people."""
    numbers = ("figure", "low", "high", "must")
    shown = table("row", *numbers, "holds", right=numbers)
    for row in rows:
        value = (f"{number:.4g}" for number in (row.value.median, row.value.low, row.value.high))
        holds = {True: "yes", False: "NO", None: "-"}[row.holds]
        shown.add_row(row.goal.title, *value, limit_text(row.goal, row.goal.must), holds)
    out().print(shown)
    for row in rows:
        if row.note:
            out().print(plain(f"{row.goal.title}: {row.note}"))
    for gap in gaps:
        out().print(plain(f"not measured: {gap.goal.title}: {gap.reason}"))
    _print_calm(measured)
    missed = [row.goal.title for row in rows if row.holds is False]
    out().print(plain(f"musts missed: {'; '.join(missed)}" if missed else "every must measured here holds"))


def _print_calm(measured: Measured) -> None:
    """All routers on usual traffic, because one best other says little."""
    numbers = ("jobs/s", "loads/1,000", "wait p50", "p95", "p99", "worst")
    shown = table("A at 0.85, staging", *numbers, right=numbers)
    for (scene, router), told in _scenes_of(measured).items():
        if scene == "calm":
            shown.add_row(router, *(f"{number:.3g}" for number in list(told.values())[: len(numbers)]))
    out().print(shown)


def _scenes(measured: Measured) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (scene, router), told in _scenes_of(measured).items():
        found.setdefault(scene, {})[router] = told
    return found


def _scenes_of(measured: Measured) -> dict[tuple[str, str], dict[str, float]]:
    """Medians over the seeds."""
    return {
        key: {
            "jobs_per_second": _middle([result.jobs_per_second for result in results]),
            "loads_per_1000": _middle([result.loads_per_1000 for result in results]),
            "wait_p50": _middle([result.waits.p50 for result in results]),
            "wait_p95": _middle([result.waits.p95 for result in results]),
            "wait_p99": _middle([result.waits.p99 for result in results]),
            "wait_worst": _middle([result.waits.longest for result in results]),
            "blocking_per_1000": _middle([result.blocking_per_1000 for result in results]),
            "unfinished": _middle([float(result.unfinished) for result in results]),
        }
        for key, results in measured.runs.items()
    }


def _middle(values: Sequence[float]) -> float:
    return round(median(values), 4)
