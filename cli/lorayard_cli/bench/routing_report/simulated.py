"""From results to figures. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from lorayard_cli.bench.engine_report.figure import Figure
from lorayard_cli.bench.figures import spread
from lorayard_cli.bench.routing_report.measure import Measured
from lorayard_cli.bench.routing_report.scenes import CAPACITY_YARDS, SCENES
from lorayard_cli.simulation.result import SimResult
from lorayard_dispatcher.planning.policy import Policy

Metric = Callable[[SimResult], float]

LEAST_WAIT_SECONDS = 0.001
"""A wait below a millisecond counts as one: a ratio to nothing says nothing."""


def figures(measured: Measured) -> dict[str, Figure]:
    """Every figure of the modelled yard, by the key of its goal."""
    return {
        **_throughput(measured),
        **_calm(measured),
        **_bounds(measured),
        **_trouble(measured),
        **_served(measured),
    }


def speed(result: SimResult) -> float:
    """Jobs per second; what was cut off counts as not done."""
    return result.jobs_per_second


def _p95(result: SimResult) -> float:
    return max(LEAST_WAIT_SECONDS, result.waits.p95)


def _p99(result: SimResult) -> float:
    return max(LEAST_WAIT_SECONDS, result.waits.p99)


def _throughput(measured: Measured) -> Mapping[str, Figure]:
    pairs = {
        "blocking_round_robin": ("batch_b_blocking", "round_robin"),
        "blocking_least_request": ("batch_b_blocking", "least_request"),
        "staged_round_robin": ("batch_b_staged", "round_robin"),
        "staged_least_request": ("batch_b_staged", "least_request"),
        "pull_aff_b_blocking": ("batch_b_blocking", "pull_aff"),
        "pull_aff_b_staged": ("batch_b_staged", "pull_aff"),
        "pull_aff_a_blocking": ("overload_a_blocking", "pull_aff"),
        "pull_aff_a_staged": ("overload_a_staged", "pull_aff"),
        "pull_aff_c_blocking": ("batch_c_blocking", "pull_aff"),
        "pull_aff_c_staged": ("batch_c_staged", "pull_aff"),
    }
    return {key: _over(measured, speed, (scene, other), scene) for key, (scene, other) in pairs.items()}


def _calm(measured: Measured) -> Mapping[str, Figure]:
    ours = _ours(measured, "calm")
    unstaged = _ours(measured, "calm_blocking")
    return {
        "loads": Figure(value=spread([result.loads_per_1000 for result in ours])),
        "blocking_loads": _worst([result.blocking_after_warm_up for result in ours]),
        "blocking_loads_unstaged": _worst([result.blocking_after_warm_up for result in unstaged]),
        "wait_p95": _over_best(measured, "calm", _p95),
        "wait_p99": _over_best(measured, "calm", _p99),
    }


def _bounds(measured: Measured) -> Mapping[str, Figure]:
    flood = _ours(measured, "flood")
    fastest = max(_others("flood"), key=lambda name: median(map(speed, measured.runs["flood", name])))
    return {
        "cold_blocking": _cold(measured, "cold_blocking"),
        "cold_staged": _cold(measured, "cold_staged"),
        "flood_wait": Figure(value=spread([result.waits_by_kind["good"].p95 for result in flood])),
        "flood_throughput": _over(measured, speed, ("flood", fastest), "flood"),
        "hot": Figure(value=spread([result.waits_by_kind["hot"].p95 for result in _ours(measured, "hot")])),
    }


def _cold(measured: Measured, scene: str) -> Figure:
    """The worst of all seeds is judged: a bound holds always."""
    bound = Policy().wait_bound_seconds[1]
    waits = [result.waits_by_kind["cold"].longest for result in _ours(measured, scene)]
    return _worst(
        [wait / bound for wait in waits],
        f"worst waits {min(waits):.1f} to {max(waits):.1f} s, bound {bound:g} s of the usual lane",
    )


def _trouble(measured: Measured) -> Mapping[str, Figure]:
    hashed = "bounded_loads"
    return {
        "shift": _over(measured, _p95, ("calm", measured.planner), "shift"),
        "four_dispatchers": _over(measured, _p95, ("calm", measured.planner), "four_dispatchers"),
        "frozen": _over(measured, _p95, ("frozen", hashed), "frozen"),
        "old_views": _over(measured, _p95, ("old_views", hashed), "old_views"),
    }


def _served(measured: Measured) -> Mapping[str, Figure]:
    """The least ratio of all yards counts, seed by seed."""
    found: dict[str, Figure] = {}
    for other in ("round_robin", "affinity", "bounded_affinity"):
        by_yard = {
            yard: [
                ours / max(theirs, 0.01)
                for ours, theirs in zip(
                    measured.loads[yard, measured.planner], measured.loads[yard, other], strict=True
                )
            ]
            for yard in CAPACITY_YARDS
        }
        note = "; ".join(
            f"{yard}: {median(measured.loads[yard, measured.planner]):.2f} against "
            f"{median(measured.loads[yard, other]):.2f}"
            for yard in CAPACITY_YARDS
        )
        least = [min(ratios) for ratios in zip(*by_yard.values(), strict=True)]
        found[f"served_{other}"] = Figure(value=spread(least), note=note)
    return found


def _ours(measured: Measured, scene: str) -> Sequence[SimResult]:
    return measured.runs[scene, measured.planner]


def _others(scene: str) -> Sequence[str]:
    return next(one.others for one in SCENES if one.key == scene)


def _over(measured: Measured, metric: Metric, below: tuple[str, str], scene: str) -> Figure:
    """Ours over the other's, seed by seed: both met the same traffic."""
    pairs = list(zip(map(metric, _ours(measured, scene)), map(metric, measured.runs[below]), strict=True))
    note = f"{median(ours for ours, _ in pairs):.3g} against {median(theirs for _, theirs in pairs):.3g}"
    return Figure(
        value=spread([ours / theirs for ours, theirs in pairs]), note=f"{note}, {below[1]} ({below[0]})"
    )


def _over_best(measured: Measured, scene: str, metric: Metric) -> Figure:
    """The other policy with the lowest median."""
    best = min(_others(scene), key=lambda name: median(map(metric, measured.runs[scene, name])))
    return _over(measured, metric, (scene, best), scene)


def _worst(values: Iterable[float], note: str = "") -> Figure:
    found = sorted(values)
    told = f"worst of {len(found)} seeds, median {median(found):.3g}"
    return Figure(value=spread(found[-1:]), note=f"{told}; {note}" if note else told)
